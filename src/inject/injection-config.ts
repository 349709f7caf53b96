/**
 * The injector's ConfigMap (istio-sidecar-injector): key `config` says which pods are injected by which templates, key
 * `values` what the mesh was installed with. Parsed once when it changes, never for a pod.
 */
import { createFindings, type Findings, formatPath, type Path } from "../api/findings.ts";
import { checkSelectorExpressions, type LabelSelector } from "../api/label-selector.ts";
import { readYamlObject } from "../api/mesh-config/read-yaml.ts";
import type { Labels } from "../api/object.ts";
import type { PlainObject, PlainValue } from "../api/plain-value.ts";
import type { Message, ObjectRef } from "../lib/message.ts";
import { type CustomTemplate, isGoTemplate, parseCustomTemplate } from "./custom-template.ts";
import { type InjectionValues, readInjectionValues } from "./injection-values.ts";
import { field, isList, isObject } from "./pod-fields.ts";
import { builtInTemplates } from "./templates/built-in.ts";

export interface InjectionConfig {
  /** What happens to pods that say nothing and that no selector names. */
  readonly policy: "enabled" | "disabled";
  /** Templates of pods that name none. */
  readonly defaultTemplates: readonly string[];
  /** One name for several templates. */
  readonly aliases: ReadonlyMap<string, readonly string[]>;
  readonly neverInjectSelector: readonly LabelSelector[];
  readonly alwaysInjectSelector: readonly LabelSelector[];
  /** Annotations for every injected pod. */
  readonly injectedAnnotations: Labels;
  /** Templates of the ConfigMap; each beats the built-in one of its name. */
  readonly templates: ReadonlyMap<string, CustomTemplate>;
  readonly values: InjectionValues;
}

export interface InjectionConfigText {
  readonly config: string;
  readonly values: string;
}

export interface ParsedInjectionConfig {
  /** Absent where there are errors: the caller keeps what it had. */
  readonly config?: InjectionConfig;
  readonly messages: readonly Message[];
}

const configMap: ObjectRef = { kind: "ConfigMap", namespace: "istio-system", name: "istio-sidecar-injector" };

/** Templates of Istio's ConfigMap that make Gateways and waypoints, which are deployed and never injected. */
const deployedTemplates: ReadonlySet<string> = new Set([
  "waypoint",
  "kube-gateway",
  "agentgateway",
  "agentgateway-waypoint",
]);

/** Parses both keys (YAML or JSON); an empty text is all defaults. Never throws. `object` names the ConfigMap. */
export function parseInjectionConfig(
  { config, values }: InjectionConfigText,
  object: ObjectRef = configMap,
): ParsedInjectionConfig {
  const findings = createFindings();
  const keys = { config: createFindings(), values: createFindings() };
  const plainConfig = readYamlObject(config, keys.config);
  const plainValues = readYamlObject(values, keys.values);
  const readValues = plainValues === undefined ? undefined : readInjectionValues(plainValues, keys.values);
  const read =
    plainConfig === undefined || readValues === undefined
      ? undefined
      : readConfig(plainConfig, readValues, keys.config);
  for (const key of ["config", "values"] as const) {
    for (const { level, path, text, code } of keys[key].all)
      findings[level === "error" ? "error" : "warning"]([key, ...path], text, code);
  }
  const messages = findings.all.map(
    ({ level, code, path, text }): Message => ({ level, code, object, path: formatPath(["data", ...path]), text }),
  );
  return read === undefined || messages.some(({ level }) => level === "error")
    ? { messages }
    : { config: read, messages };
}

function readConfig(plain: PlainObject, values: InjectionValues, findings: Findings): InjectionConfig {
  const defaults = readTexts(plain, ["defaultTemplates"], findings);
  return {
    policy: readPolicy(plain, findings),
    defaultTemplates: defaults.length === 0 ? ["sidecar"] : defaults,
    aliases: readAliases(plain, findings),
    neverInjectSelector: readSelectors(plain, "neverInjectSelector", findings),
    alwaysInjectSelector: readSelectors(plain, "alwaysInjectSelector", findings),
    injectedAnnotations: readLabels(plain, ["injectedAnnotations"], findings),
    templates: readTemplates(plain, findings),
    values,
  };
}

function readPolicy(plain: PlainObject, findings: Findings): "enabled" | "disabled" {
  const policy = field(plain, "policy") ?? "enabled";
  if (policy === "enabled" || policy === "disabled") return policy;
  findings.error(["policy"], `must be enabled or disabled, not ${JSON.stringify(policy)}`, "enum");
  return "disabled";
}

function readTexts(parent: PlainObject, path: Path, findings: Findings): readonly string[] {
  const value = field(parent, String(path.at(-1))) ?? [];
  if (isList(value) && value.every((item): item is string => typeof item === "string")) return value;
  findings.error(path, "must be a list of strings", "wrong-type");
  return [];
}

function readObject(parent: PlainObject, path: Path, findings: Findings): PlainObject {
  const value = field(parent, String(path.at(-1))) ?? {};
  if (isObject(value)) return value;
  findings.error(path, "must be an object", "wrong-type");
  return {};
}

function readLabels(parent: PlainObject, path: Path, findings: Findings): Labels {
  const labels: { [name: string]: string } = {};
  for (const [name, value] of Object.entries(readObject(parent, path, findings))) {
    if (typeof value === "string") labels[name] = value;
    else findings.error([...path, name], "must be a string; put it in quotes", "wrong-type");
  }
  return labels;
}

function readAliases(plain: PlainObject, findings: Findings): ReadonlyMap<string, readonly string[]> {
  const aliases = readObject(plain, ["aliases"], findings);
  return new Map(Object.keys(aliases).map((name) => [name, readTexts(aliases, ["aliases", name], findings)]));
}

function readSelectors(plain: PlainObject, name: string, findings: Findings): readonly LabelSelector[] {
  const value = field(plain, name) ?? [];
  if (isList(value)) return value.flatMap((selector, index) => readSelector(selector, [name, index], findings));
  findings.error([name], "must be a list of label selectors", "wrong-type");
  return [];
}

function readSelector(value: PlainValue, path: Path, findings: Findings): readonly LabelSelector[] {
  if (!isObject(value)) {
    findings.error(path, "must be a label selector", "wrong-type");
    return [];
  }
  const expressions = field(value, "matchExpressions") ?? [];
  const matchExpressions = isList(expressions)
    ? expressions.flatMap((item, index) => readExpression(item, [...path, "matchExpressions", index], findings))
    : [];
  if (!isList(expressions)) findings.error([...path, "matchExpressions"], "must be a list", "wrong-type");
  const selector = { matchLabels: readLabels(value, [...path, "matchLabels"], findings), matchExpressions };
  checkSelectorExpressions(selector, path, findings);
  // An empty selector selects nothing here (metav1.LabelSelectorAsSelector, and the injector skips what is empty).
  const isEmpty = matchExpressions.length === 0 && Object.keys(selector.matchLabels).length === 0;
  return isEmpty ? [] : [selector];
}

type Expression = NonNullable<LabelSelector["matchExpressions"]>[number];

const operators: readonly Expression["operator"][] = ["In", "NotIn", "Exists", "DoesNotExist"];

function readExpression(value: PlainValue, path: Path, findings: Findings): readonly Expression[] {
  const key = isObject(value) ? field(value, "key") : undefined;
  const word = isObject(value) ? field(value, "operator") : undefined;
  const operator = operators.find((known) => known === word);
  if (!isObject(value) || typeof key !== "string" || operator === undefined) {
    findings.error(path, `must have a key and an operator of ${operators.join(", ")}`, "selector");
    return [];
  }
  return [{ key, operator, values: readTexts(value, [...path, "values"], findings) }];
}

function readTemplates(plain: PlainObject, findings: Findings): ReadonlyMap<string, CustomTemplate> {
  const templates = new Map<string, CustomTemplate>();
  for (const [name, text] of Object.entries(readObject(plain, ["templates"], findings))) {
    const path = ["templates", name];
    if (deployedTemplates.has(name)) continue;
    if (typeof text !== "string") findings.error(path, "must be a text that holds YAML", "wrong-type");
    else if (!isGoTemplate(text)) {
      const template = parseCustomTemplate(text, path, findings);
      if (template !== undefined) templates.set(name, template);
    } else if (builtInTemplates.has(name)) {
      findings.warning(
        path,
        "is a Go template, which is not executed: the built-in template of that name is used",
        "go-template",
      );
    } else {
      findings.warning(
        path,
        `is a Go template, which is not executed: pods that ask for "${name}" are refused. Write it as a plain YAML overlay, with placeholders such as \${inject.ProxyImage}`,
        "go-template",
      );
      templates.set(name, { kind: "go-template" });
    }
  }
  return templates;
}
