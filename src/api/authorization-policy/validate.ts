import { createFindings, type Finding, type Findings, type Path } from "../findings.ts";
import type { ObjectMeta } from "../object.ts";
import { checkAttachment } from "../policy-attachment.ts";
import { checkCondition } from "./check-condition.ts";
import {
  checkAddresses,
  checkPaths,
  checkPorts,
  checkServiceAccounts,
  checkTexts,
  checkTrustDomains,
} from "./check-values.ts";
import type {
  AuthorizationOperation,
  AuthorizationPolicySpec,
  AuthorizationRule,
  AuthorizationSource,
} from "./schema.ts";

const dryRunAnnotation = "istio.io/dry-run";
/** The words that Go's strconv takes for true and false. */
const booleanText = /^([01tTfF]|true|TRUE|True|false|FALSE|False)$/;

/** What each field of a source must hold. */
const sourceChecks = {
  principals: checkTexts,
  notPrincipals: checkTexts,
  requestPrincipals: checkTexts,
  notRequestPrincipals: checkTexts,
  namespaces: checkTexts,
  notNamespaces: checkTexts,
  serviceAccounts: checkServiceAccounts,
  notServiceAccounts: checkServiceAccounts,
  trustDomains: checkTrustDomains,
  notTrustDomains: checkTrustDomains,
  ipBlocks: checkAddresses,
  notIpBlocks: checkAddresses,
  remoteIpBlocks: checkAddresses,
  notRemoteIpBlocks: checkAddresses,
} as const satisfies Record<keyof AuthorizationSource, typeof checkTexts>;

const operationChecks = {
  hosts: checkTexts,
  notHosts: checkTexts,
  ports: checkPorts,
  notPorts: checkPorts,
  methods: checkTexts,
  notMethods: checkTexts,
  paths: checkPaths,
  notPaths: checkPaths,
} as const satisfies Record<keyof AuthorizationOperation, typeof checkTexts>;

const sourceFields = Object.keys(sourceChecks) as readonly (keyof AuthorizationSource)[];
const operationFields = Object.keys(operationChecks) as readonly (keyof AuthorizationOperation)[];

/** Fields of a source that a TCP proxy knows too; istiod does not count trust domains. */
const connectionFields = [
  "principals",
  "notPrincipals",
  "namespaces",
  "notNamespaces",
  "serviceAccounts",
  "notServiceAccounts",
  "ipBlocks",
  "notIpBlocks",
  "remoteIpBlocks",
  "notRemoteIpBlocks",
] as const satisfies readonly (keyof AuthorizationSource)[];

/** Fields and keys that are not known yet when the provider of a CUSTOM policy is asked. */
const customSourceFields = [
  "namespaces",
  "notNamespaces",
  "serviceAccounts",
  "notServiceAccounts",
  "trustDomains",
  "notTrustDomains",
  "principals",
  "notPrincipals",
  "requestPrincipals",
  "notRequestPrincipals",
] as const satisfies readonly (keyof AuthorizationSource)[];
const customKeys = /^(source\.(namespace|serviceAccount|trustDomain|principal)$|request\.auth\.)/;

/** Checks an AuthorizationPolicy beyond its schema, as istiod's webhook does (pkg/config/validation). */
export function validateAuthorizationPolicy(spec: AuthorizationPolicySpec, meta: ObjectMeta): readonly Finding[] {
  const findings = createFindings();
  checkDryRun(spec, meta, findings);
  checkAttachment(spec, findings);
  const { action = "ALLOW", rules = [], provider } = spec;
  if (rules.length === 0 && (action === "DENY" || action === "CUSTOM")) {
    const text = `without rules a ${action} policy matches nothing; for every request give it one empty rule: [{}]`;
    findings.error(["spec", "rules"], text, "required");
  } else if (action === "CUSTOM" && (provider?.name ?? "") === "") {
    findings.error(["spec", "provider", "name"], "is required for CUSTOM", "required");
  }
  if (provider !== undefined && action !== "CUSTOM") {
    findings.error(["spec", "provider"], `has a meaning for CUSTOM only, not for ${action}`, "one-of");
  }
  for (const [index, rule] of rules.entries()) {
    const path = ["spec", "rules", index];
    checkRule(rule, path, findings);
    if (action === "CUSTOM") checkCustomRule(rule, path, findings);
    if (action === "DENY" && deniesEveryConnection(rule)) {
      const text = "denies every TCP connection too, as only HTTP knows what it asks for; say for which ports it is";
      findings.warning(path, text, "deny-all-tcp");
    }
  }
  return findings.all;
}

/** With the annotation a policy is only counted, not enforced. */
function checkDryRun({ action = "ALLOW" }: AuthorizationPolicySpec, meta: ObjectMeta, findings: Findings): void {
  if (!Object.hasOwn(meta.annotations, dryRunAnnotation)) return;
  const path = ["metadata", "annotations", dryRunAnnotation];
  const value = meta.annotations[dryRunAnnotation] ?? "";
  if (action !== "ALLOW" && action !== "DENY") {
    findings.error(path, `is for ALLOW and DENY only, not for ${action}`, "annotation");
  } else if (!booleanText.test(value)) findings.error(path, `must be true or false, not "${value}"`, "annotation");
}

function checkRule(rule: AuthorizationRule, path: Path, findings: Findings): void {
  for (const [index, { source }] of (rule.from ?? []).entries()) {
    const at = [...path, "from", index, "source"];
    if (source === undefined || !sourceFields.some((field) => isGiven(source[field]))) {
      findings.error(at, "must have at least one field", "required");
    } else checkSource(source, at, findings);
  }
  for (const [index, { operation }] of (rule.to ?? []).entries()) {
    const at = [...path, "to", index, "operation"];
    if (operation === undefined || !operationFields.some((field) => isGiven(operation[field]))) {
      findings.error(at, "must have at least one field", "required");
    } else {
      for (const field of operationFields) operationChecks[field](operation[field], [...at, field], findings);
    }
  }
  for (const [index, condition] of (rule.when ?? []).entries())
    checkCondition(condition, [...path, "when", index], findings);
}

function checkSource(source: AuthorizationSource, path: Path, findings: Findings): void {
  for (const field of sourceFields) sourceChecks[field](source[field], [...path, field], findings);
  const names = (["principals", "notPrincipals", "namespaces", "notNamespaces"] as const).filter((field) =>
    isGiven(source[field]),
  );
  const accounts = (["serviceAccounts", "notServiceAccounts"] as const).filter((field) => isGiven(source[field]));
  if (names.length > 0 && accounts.length > 0) {
    findings.error(path, `${accounts.join(", ")} cannot stand together with ${names.join(", ")}`, "one-of");
  }
}

function checkCustomRule(rule: AuthorizationRule, path: Path, findings: Findings): void {
  for (const [index, { source }] of (rule.from ?? []).entries()) {
    for (const field of customSourceFields) {
      if (isGiven(source?.[field]))
        findings.error([...path, "from", index, "source", field], "cannot be used with CUSTOM", "custom");
    }
  }
  for (const [index, { key }] of (rule.when ?? []).entries()) {
    if (customKeys.test(key))
      findings.error([...path, "when", index, "key"], `"${key}" cannot be used with CUSTOM`, "custom");
  }
}

/** True where nothing in the rule is known for a TCP connection: what is not known counts as a match in DENY. */
function deniesEveryConnection({ from = [], to = [] }: AuthorizationRule): boolean {
  const sources = from.flatMap(({ source }) => (source === undefined ? [] : [source]));
  const operations = to.flatMap(({ operation }) => (operation === undefined ? [] : [operation]));
  if (operations.length > 0) return !operations.some(({ ports, notPorts }) => isGiven(ports) || isGiven(notPorts));
  return sources.length > 0 && !sources.some((source) => connectionFields.some((field) => isGiven(source[field])));
}

const isGiven = (values: readonly string[] | undefined): boolean => (values ?? []).length > 0;
