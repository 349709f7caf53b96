/**
 * The verdict of `/validate` on an AdmissionReview: istiod's, with the checks that files get too, and with all errors of
 * an object at once. Rules of the envelope: Istio, pkg/webhooks/validation/server.
 */
import { isDeepStrictEqual } from "node:util";
import { parseObject } from "../api/parse.ts";
import { istioResources, type ResourceNames } from "../api/resource-names.ts";
import { formatObjectRef, type Message } from "../lib/message.ts";
import {
  type AdmissionRequest,
  buildAnswer,
  type Cause,
  ownField,
  ownText,
  parseReview,
  type ResourceName,
  type ReviewAnswer,
  type Verdict,
} from "./admission-review.ts";
import type { WebhookMetrics } from "./metrics.ts";

/** istiod's words for why something is refused. */
type FailureReason = "unsupported_operation" | "yaml_decode_error" | "unknown_type" | "invalid_resource";

/** Most errors and warnings of an object that are told, and most characters of each. */
const [mostErrors, mostWarnings] = [16, 16];
const [longestText, longestWarning] = [400, 256];

/**
 * Answers a review of unknown content. Only objects of Istio's groups are judged; those of others are never refused.
 * Never throws for any content that JSON can hold.
 */
export function validateReview(raw: unknown, metrics: WebhookMetrics): ReviewAnswer {
  const parsed = parseReview(raw);
  if (!parsed.ok) {
    const { apiVersion, uid, text } = parsed;
    return { httpStatus: 400, review: buildAnswer(apiVersion, uid, refuse(text)), refusal: text };
  }
  const { apiVersion, request } = parsed;
  const [verdict, reason] = judge(request);
  countVerdict(metrics, request, reason);
  const review = buildAnswer(apiVersion, request.uid, verdict);
  return { httpStatus: 200, review, refusal: verdict.allowed ? undefined : verdict.message };
}

type Judgement = readonly [verdict: Verdict, reason: FailureReason | undefined];

const allow: Verdict = { allowed: true, warnings: [] };
const refuse = (message: string): Verdict => ({ allowed: false, message, causes: [], warnings: [] });

function judge(request: AdmissionRequest): Judgement {
  const { operation, object, isDryRun } = request;
  if (operation !== "CREATE" && operation !== "UPDATE") return [allow, "unsupported_operation"];
  const suffix = isDryRun ? " (dry run)" : "";
  const groups = listStatedGroups(request);
  if (groups.length > 0 && !groups.some((group) => istioGroups.has(group))) return [allow, undefined];
  if (typeof object !== "object" || object === null || Array.isArray(object))
    return [refuse(`cannot decode configuration: the request has no object${suffix}`), "yaml_decode_error"];
  const names = findResource(object);
  if (names === undefined) {
    const [apiVersion, kind] = [ownText(object, "apiVersion"), ownText(object, "kind")].map((text) =>
      text.slice(0, 100),
    );
    return [refuse(`unrecognized type ${apiVersion}, Kind=${kind}${suffix}`), "unknown_type"];
  }
  return judgeObject(request, object, names);
}

function judgeObject(request: AdmissionRequest, object: object, names: ResourceNames): Judgement {
  const kind = ownText(object, "kind");
  // All versions of a kind have one schema: one that is newer than this program is not refused.
  const { messages } = parseObject({ ...object, apiVersion: `${names.group}/${names.versions[0] ?? "v1"}` });
  const told = messages.flatMap((message) => adaptMessage(message, kind));
  const causes = [
    ...listUnknownFields(object, told),
    ...told.filter(({ level }) => level === "error").map(({ path, text }) => cause(path, text)),
  ];
  const warnings = formatWarnings(told.filter(({ level }) => level === "warning"));
  if (causes.length === 0) return [{ allowed: true, warnings }, undefined];
  if (isBeingDeleted(request)) return [{ allowed: true, warnings }, undefined];
  const message = formatRefusal(nameObject(request, object), causes);
  const suffix = request.isDryRun ? " (dry run)" : "";
  const verdict: Verdict = {
    allowed: false,
    message: `${message}${suffix}`,
    causes: causes.slice(0, mostErrors),
    warnings,
  };
  return [verdict, "invalid_resource"];
}

const cause = (field: string, text: string): Cause => ({
  field: field.slice(0, longestText),
  message: text.length > longestText ? `${text.slice(0, longestText)}…` : text,
});

/**
 * What the checks say, as far as it decides here. Names belong to the API server, which sends none on CREATE where it is
 * to make one. Unknown fields inside `spec` are warnings: istiod passes over them, and the API server's schemas prune
 * them, or refuse them, before anything is asked here.
 */
function adaptMessage(message: Message, kind: string): readonly Message[] {
  const { path, code, level } = message;
  const isName = path === "metadata.name" || path === "metadata.namespace";
  if (isName && (code === "required" || code === "name")) return [];
  if (level === "info") return [];
  if (code === "untranslated-kind")
    return [{ ...message, path: "", text: `${kind} has no effect in this version yet` }];
  if (code === "unknown-field" && /^spec[.[]/.test(path))
    return [{ ...message, level: "warning", text: `${message.text} (ignored)` }];
  return [message];
}

const topFields: ReadonlySet<string> = new Set(["apiVersion", "kind", "metadata", "spec", "status"]);

/** Fields beside `spec`, for kinds whose checks do not look at them. */
function listUnknownFields(object: object, told: readonly Message[]): readonly Cause[] {
  const isKnown = (name: string): boolean => topFields.has(name) || told.some(({ path }) => path === name);
  const unknown = Object.keys(object).filter((name) => !isKnown(name));
  return unknown.map((name) => cause(name, `unknown field "${name.slice(0, 100)}"`));
}

/**
 * True for the update that takes a finalizer from an object on its way out: refusing that would keep a bad object, and its
 * namespace, forever.
 */
function isBeingDeleted({ operation, object, oldObject }: AdmissionRequest): boolean {
  if (operation !== "UPDATE" || ownText(ownField(object, "metadata"), "deletionTimestamp") === "") return false;
  try {
    return isDeepStrictEqual(ownField(object, "spec"), ownField(oldObject, "spec"));
  } catch {
    // Nested too deeply to be compared.
    return false;
  }
}

function formatRefusal(name: string, causes: readonly Cause[]): string {
  const texts = causes
    .slice(0, mostErrors)
    .map(({ field, message }) => (field === "" ? message : `${field}: ${message}`));
  const more = causes.length > mostErrors ? `; and ${causes.length - mostErrors} more` : "";
  return `configuration is invalid: ${name}: ${texts.join("; ")}${more}`;
}

function formatWarnings(messages: readonly Message[]): readonly string[] {
  const texts = messages.map(({ path, text }) => (path === "" ? text : `${path}: ${text}`));
  const shown = new Set(
    texts.map((text) => (text.length > longestWarning ? `${text.slice(0, longestWarning - 1)}…` : text)),
  );
  const list = [...shown];
  return list.length <= mostWarnings
    ? list
    : [...list.slice(0, mostWarnings), `${list.length - mostWarnings} more warnings`];
}

/** "VirtualService shop/reviews"; "reviews-*" where the API server is to make the name. */
function nameObject(request: AdmissionRequest, object: object): string {
  const metadata = ownField(object, "metadata");
  const generated = ownText(metadata, "generateName");
  const name = request.name || ownText(metadata, "name") || (generated === "" ? "" : `${generated}*`);
  const namespace = request.namespace || ownText(metadata, "namespace");
  return formatObjectRef({
    kind: ownText(object, "kind"),
    namespace: namespace.slice(0, 100),
    name: name.slice(0, 260),
  });
}

const resources: Readonly<Record<string, ResourceNames>> = istioResources;
const istioGroups: ReadonlySet<string> = new Set(Object.values(resources).map(({ group }) => group));

/** The names of the object's kind where it is one of Istio's, in whatever version. */
function findResource(object: object): ResourceNames | undefined {
  const kind = ownText(object, "kind");
  const names = Object.hasOwn(resources, kind) ? resources[kind] : undefined;
  return names !== undefined && names.group === groupOf(ownText(object, "apiVersion")) ? names : undefined;
}

/** The groups that the request states for its object, "" for the core group: one of Istio's is enough to judge it. */
function listStatedGroups({ kind, resource, object }: AdmissionRequest): readonly string[] {
  const apiVersion = ownText(object, "apiVersion");
  return [
    ...(kind.kind === "" ? [] : [kind.group]),
    ...(resource.resource === "" ? [] : [resource.group]),
    ...(apiVersion === "" ? [] : [groupOf(apiVersion)]),
  ];
}

const groupOf = (apiVersion: string): string => (apiVersion.includes("/") ? (apiVersion.split("/", 1)[0] ?? "") : "");

/** Dry runs are not counted as failures, as istiod has it. Labels are bounded: anybody can send a review. */
function countVerdict(
  metrics: WebhookMetrics,
  { resource, isDryRun }: AdmissionRequest,
  reason: FailureReason | undefined,
): void {
  const labels = boundLabels(resource);
  if (reason === undefined) metrics.count("galley_validation_passed", labels);
  else if (!isDryRun) metrics.count("galley_validation_failed", { ...labels, reason });
}

function boundLabels({ group, version, resource }: ResourceName): { readonly [label: string]: string } {
  const known = Object.values(resources).find((names) => names.group === group && names.plural === resource);
  if (known === undefined) return { group: "other", version: "other", resource: "other" };
  return { group, version: known.versions.includes(version) ? version : "other", resource };
}
