/**
 * Templates of the ConfigMap: overlays of a pod as plain YAML. Placeholders are put in after parsing and in string values
 * only, so that no value can ever become structure.
 */
import type { Findings, Path } from "../api/findings.ts";
import { createFindings } from "../api/findings.ts";
import { readYamlObject } from "../api/mesh-config/read-yaml.ts";
import type { PlainObject, PlainValue } from "../api/plain-value.ts";
import { field, isList, isObject } from "./pod-fields.ts";
import type { TemplateData } from "./templates/template-data.ts";

export type CustomTemplate =
  | { readonly kind: "overlay"; readonly overlay: PlainObject }
  /** One of Istio's own form, which is not executed. */
  | { readonly kind: "go-template" };

export const isGoTemplate = (text: string): boolean => text.includes("{{");

/** ${inject.Name}, or ${inject.Name[key]} for a label or annotation. */
const placeholder = /\$\{inject\.([^}]*)\}/g;

type Lookup = (data: TemplateData, rest: string) => PlainValue | undefined;

/** What a placeholder may name: the data of Istio's templates. Paths below MeshConfig, ProxyConfig and Values follow a dot. */
const names: Readonly<Record<string, Lookup>> = {
  ProxyImage: ({ proxyImage }) => proxyImage,
  ProxyInitImage: ({ initImage }) => initImage,
  ProxyUID: ({ ids }) => ids.uid,
  ProxyGID: ({ ids }) => ids.gid,
  Revision: ({ revision }) => revision,
  NativeSidecars: ({ isNative }) => isNative,
  InboundTrafficPolicyMode: ({ isInboundLocal }) => (isInboundLocal ? "localhost" : "passthrough"),
  CompliancePolicy: ({ compliancePolicy }) => compliancePolicy,
  "TypeMeta.Kind": ({ owner }) => owner.kind,
  "TypeMeta.APIVersion": ({ owner }) => owner.apiVersion,
  "DeploymentMeta.Name": ({ owner }) => owner.name,
  "DeploymentMeta.Namespace": ({ owner }) => owner.namespace,
  "ObjectMeta.Name": ({ podName }) => podName,
  "ObjectMeta.Namespace": ({ namespace }) => namespace,
  "ObjectMeta.Labels": ({ labels }, key) => labels[key] ?? "",
  "ObjectMeta.Annotations": ({ annotations }, key) => annotations[key] ?? "",
  "Spec.ServiceAccountName": ({ serviceAccount }) => serviceAccount,
  MeshConfig: ({ mesh }, path) => follow(mesh as unknown as PlainObject, path),
  ProxyConfig: ({ proxyConfig }, path) => follow(proxyConfig as unknown as PlainObject, path),
  Values: ({ values }, path) => follow(values.raw, path),
};

const keyed: ReadonlySet<string> = new Set(["ObjectMeta.Labels", "ObjectMeta.Annotations"]);
const withPath: readonly string[] = ["MeshConfig", "ProxyConfig", "Values"];

interface Reference {
  readonly name: string;
  readonly rest: string;
}

function parseReference(text: string): Reference | undefined {
  const [, keyedName = "", key = ""] = /^([A-Za-z.]+)\[([^\]]+)\]$/.exec(text) ?? [];
  if (keyed.has(keyedName)) return { name: keyedName, rest: key };
  const root = withPath.find((name) => text.startsWith(`${name}.`));
  if (root !== undefined) return { name: root, rest: text.slice(root.length + 1) };
  return Object.hasOwn(names, text) && !keyed.has(text) && !withPath.includes(text)
    ? { name: text, rest: "" }
    : undefined;
}

/** Parses an overlay: metadata with labels and annotations, and spec. Reports what it cannot use. */
export function parseCustomTemplate(text: string, path: Path, findings: Findings): CustomTemplate | undefined {
  const inner = createFindings();
  const overlay = readYamlObject(text, inner);
  for (const { path: at, text: reason, code } of inner.all) findings.error([...path, ...at], reason, code);
  if (overlay === undefined) return undefined;
  for (const name of Object.keys(overlay)) {
    if (name !== "metadata" && name !== "spec")
      findings.error([...path, name], "only metadata and spec of a pod can be laid over", "unknown-field");
  }
  checkPlaceholders(overlay, path, findings);
  return { kind: "overlay", overlay };
}

function checkPlaceholders(value: PlainValue, path: Path, findings: Findings): void {
  if (typeof value === "string") {
    for (const [whole, reference = ""] of value.matchAll(placeholder)) {
      if (parseReference(reference) !== undefined) continue;
      findings.error(path, `${whole} is not known; there are ${Object.keys(names).join(", ")}`, "placeholder");
    }
  } else if (isList(value))
    for (const [index, item] of value.entries()) checkPlaceholders(item, [...path, index], findings);
  else if (isObject(value))
    for (const [name, item] of Object.entries(value)) checkPlaceholders(item, [...path, name], findings);
}

/**
 * The overlay with its placeholders replaced. A value that is one placeholder and nothing else has the type of what it
 * names, so that ${inject.ProxyUID} can be a user id; within a text it is text. Names of fields are never touched.
 */
export function renderCustomTemplate(overlay: PlainValue, data: TemplateData): PlainValue {
  if (typeof overlay === "string") return renderText(overlay, data);
  if (isList(overlay)) return overlay.map((item) => renderCustomTemplate(item, data));
  if (!isObject(overlay)) return overlay;
  return Object.fromEntries(Object.entries(overlay).map(([name, item]) => [name, renderCustomTemplate(item, data)]));
}

function renderText(text: string, data: TemplateData): PlainValue {
  if (!text.includes("${inject.")) return text;
  const [, only] = /^\$\{inject\.([^}]*)\}$/.exec(text) ?? [];
  if (only !== undefined) return look(only, data);
  return text.replaceAll(placeholder, (_whole, reference: string) => String(look(reference, data)));
}

/** Only single values are put in: an object of the mesh never becomes part of a pod. */
function look(text: string, data: TemplateData): string | number | boolean {
  const reference = parseReference(text);
  const value = reference === undefined ? undefined : names[reference.name]?.(data, reference.rest);
  return value === undefined || value === null || typeof value === "object" ? "" : (value as string | number | boolean);
}

function follow(root: PlainObject, path: string): PlainValue | undefined {
  let value: PlainValue | undefined = root;
  for (const step of path.split(".")) value = isObject(value) ? field(value, step) : undefined;
  return value;
}
