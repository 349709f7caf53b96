import type { Message, ObjectRef } from "../../lib/message.ts";
import { compareText } from "../../lib/text-order.ts";
import { compileSchema } from "../check-schema.ts";
import { createFindings, formatPath } from "../findings.ts";
import type { PlainObject, PlainValue } from "../plain-value.ts";
import { defaultMeshConfig } from "./defaults.ts";
import { isPlainObject, readYamlObject } from "./read-yaml.ts";
import { type MeshConfig, meshConfigSchema } from "./schema.ts";
import { validateMeshConfig } from "./validate.ts";

/** Istio reads past fields that it does not know here, so that one ConfigMap serves several versions; we say so. */
const check = compileSchema(meshConfigSchema, { unknownFields: "warning" });

export interface ParsedMeshConfig {
  /** Absent where there are errors: the caller keeps what it had. */
  readonly mesh?: MeshConfig;
  readonly messages: readonly Message[];
}

const configMap: ObjectRef = { kind: "ConfigMap", namespace: "istio-system", name: "istio" };

/**
 * Parses a mesh configuration (YAML text or plain data) and lays it over `below`, by default Istio's own defaults. Rules
 * of pkg/config/mesh/mesh.go: see mergeMeshConfig. The result is checked as a whole (ValidateMeshConfig). `object` names
 * the ConfigMap in messages.
 */
export function parseMeshConfig(
  content: unknown,
  options: { readonly below?: MeshConfig; readonly object?: ObjectRef } = {},
): ParsedMeshConfig {
  const findings = createFindings();
  const plain = readYamlObject(content, findings);
  const checked = plain === undefined ? undefined : check.check(plain, { path: [], findings });
  const hasErrors = () => findings.all.some((finding) => finding.level === "error");
  const below = options.below ?? defaultMeshConfig;
  const mesh = isPlainObject(checked) && !hasErrors() ? mergeMeshConfig(below, checked) : undefined;
  if (mesh !== undefined) validateMeshConfig(mesh, findings);
  const object = options.object ?? configMap;
  const messages = findings.all.map(
    ({ level, code, path, text }): Message => ({ level, code, object, path: formatPath(path), text }),
  );
  return mesh === undefined || hasErrors() ? { messages } : { mesh, messages };
}

/**
 * A field that is given replaces the whole field below, with these exceptions: in defaultConfig and defaultProviders the
 * fields inside replace those below, proxyMetadata merges by name and proxyHeaders by field; extension providers
 * replace those of their name or come behind them; trust-domain aliases add up.
 */
function mergeMeshConfig(below: MeshConfig, above: PlainObject): MeshConfig {
  const under = below as unknown as PlainObject;
  const merged: PlainObject = {
    ...under,
    ...above,
    ...withDefaultMode(above, "outboundTrafficPolicy", "REGISTRY_ONLY"),
    ...withDefaultMode(above, "inboundTrafficPolicy", "PASSTHROUGH"),
    defaultConfig: mergeProxyConfig(asObject(under["defaultConfig"]), asObject(above["defaultConfig"])),
    defaultProviders: { ...asObject(under["defaultProviders"]), ...asObject(above["defaultProviders"]) },
    extensionProviders: mergeByName(asList(under["extensionProviders"]), asList(above["extensionProviders"])),
    trustDomainAliases: mergeTexts(asList(under["trustDomainAliases"]), asList(above["trustDomainAliases"])),
  };
  // The schema has proved the overlay and the types prove what lies below it.
  return merged as unknown as MeshConfig;
}

/** A policy that is given without a mode has protobuf's first word for it, whatever the default of the mesh is. */
function withDefaultMode(above: PlainObject, field: string, mode: string): PlainObject {
  const policy = above[field];
  return isPlainObject(policy) ? { [field]: { mode, ...policy } } : {};
}

/** Fields that exclude each other: what is given above takes away the other one from below. */
const alternatives: readonly (readonly [string, string])[] = [
  ["serviceCluster", "tracingServiceName"],
  ["tracingServiceName", "serviceCluster"],
];

function mergeProxyConfig(below: PlainObject, above: PlainObject): PlainObject {
  const merged: { [field: string]: PlainValue } = { ...below, ...above };
  for (const [given, other] of alternatives) {
    if (Object.hasOwn(above, given) && !Object.hasOwn(above, other)) delete merged[other];
  }
  for (const field of ["proxyMetadata", "proxyHeaders"]) {
    if (Object.hasOwn(above, field)) merged[field] = { ...asObject(below[field]), ...asObject(above[field]) };
  }
  return merged;
}

function mergeByName(below: readonly PlainValue[], above: readonly PlainValue[]): readonly PlainObject[] {
  const byName = new Map<PlainValue | undefined, PlainObject>();
  for (const provider of [...below, ...above].filter(isPlainObject)) byName.set(provider["name"], provider);
  return [...byName.values()];
}

function mergeTexts(below: readonly PlainValue[], above: readonly PlainValue[]): readonly string[] {
  const texts = [...below, ...above].filter((text): text is string => typeof text === "string");
  return [...new Set(texts)].toSorted(compareText);
}

const asObject = (value: PlainValue | undefined): PlainObject => (isPlainObject(value) ? value : {});
const asList = (value: PlainValue | undefined): readonly PlainValue[] => (Array.isArray(value) ? value : []);
