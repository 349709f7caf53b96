/** The settings that a proxy starts with: its effective ProxyConfig. */
import type { Finding, Findings } from "../api/findings.ts";
import { createFindings } from "../api/findings.ts";
import { defaultMeshConfig } from "../api/mesh-config/defaults.ts";
import { parseMeshConfig } from "../api/mesh-config/parse.ts";
import { readYamlObject } from "../api/mesh-config/read-yaml.ts";
import type { MeshConfig, ProxyConfig } from "../api/mesh-config/schema.ts";
import { type Labels, labelsMatch } from "../api/object.ts";
import type { PlainObject, PlainValue } from "../api/plain-value.ts";
import type { ProxyConfig as ProxyConfigKind, ProxyConfigSpec } from "../api/proxy-config/schema.ts";
import { annotation } from "./annotation-names.ts";
import { isSame } from "./same-value.ts";

export interface ProxySettings {
  readonly mesh: MeshConfig;
  /** Oldest first; the first that fits counts. */
  readonly objects: readonly ProxyConfigKind[];
  readonly namespace: string;
  readonly labels: Labels;
  readonly annotations: Labels;
}

/**
 * Derives the ProxyConfig of a pod (pilot/pkg/model/proxy_config.go): the mesh's default, over that the object of the root
 * namespace, that of the pod's namespace, the pod's annotation, and the object that selects the pod. Variables add up.
 * Says what is wrong with the annotation, which then counts for nothing.
 */
export function deriveProxyConfig(settings: ProxySettings, findings: Findings): ProxyConfig {
  const { mesh, namespace } = settings;
  let config = mesh.defaultConfig;
  config = layObject(config, findWholeNamespace(settings, mesh.rootNamespace));
  if (namespace !== mesh.rootNamespace) config = layObject(config, findWholeNamespace(settings, namespace));
  config = layAnnotation(config, settings, findings);
  return layObject(config, findSelecting(settings));
}

const selectorOf = ({ spec }: ProxyConfigKind): Labels => spec.selector?.matchLabels ?? {};

const findWholeNamespace = ({ objects }: ProxySettings, namespace: string): ProxyConfigSpec | undefined =>
  objects.find(({ meta, spec }) => meta.namespace === namespace && spec.selector === undefined)?.spec;

const findSelecting = ({ objects, namespace, labels }: ProxySettings): ProxyConfigSpec | undefined =>
  objects.find(
    (object) =>
      object.meta.namespace === namespace &&
      Object.keys(selectorOf(object)).length > 0 &&
      labelsMatch(selectorOf(object), labels),
  )?.spec;

function layObject(below: ProxyConfig, above: ProxyConfigSpec | undefined): ProxyConfig {
  if (above === undefined) return below;
  const { concurrency, environmentVariables, image } = above;
  return {
    ...below,
    ...(concurrency === undefined ? {} : { concurrency }),
    ...(image === undefined ? {} : { image }),
    ...(environmentVariables === undefined
      ? {}
      : { proxyMetadata: { ...below.proxyMetadata, ...environmentVariables } }),
  };
}

function layAnnotation(below: ProxyConfig, { mesh, annotations }: ProxySettings, findings: Findings): ProxyConfig {
  const text = annotations[annotation.proxyConfig];
  if (text === undefined) return below;
  const path = ["metadata", "annotations", annotation.proxyConfig];
  const inner = createFindings();
  const given = readYamlObject(text, inner);
  const report = ({ level, text: reason, code, path: at }: Finding) =>
    findings[level === "error" ? "error" : "warning"]([...path, ...at], reason, code);
  for (const finding of inner.all) report(finding);
  if (given === undefined) return below;
  const laid = parseMeshConfig({ defaultConfig: given }, { below: { ...mesh, defaultConfig: below } });
  for (const { level, text: reason, code, path: at } of laid.messages) {
    // What else the mesh has to be told is not for the writer of a pod.
    if (!at.startsWith("defaultConfig")) continue;
    findings[level === "error" ? "error" : "warning"](path, `${at.replace(/^defaultConfig\.?/, "")}: ${reason}`, code);
  }
  return laid.mesh?.defaultConfig ?? below;
}

const defaults = defaultMeshConfig.defaultConfig as unknown as PlainObject;

/** Formats the settings as JSON for the variable PROXY_CONFIG, without what every proxy takes by default. */
export function formatProxyConfig(config: ProxyConfig): string {
  const said = Object.entries(config as unknown as PlainObject).filter(
    ([name, value]) => !isDefault(name, value) && !(name === "proxyMetadata" && Object.keys(value ?? {}).length === 0),
  );
  return JSON.stringify(Object.fromEntries(said));
}

function isDefault(name: string, value: PlainValue): boolean {
  return name === "interceptionMode" ? value === "REDIRECT" : isSame(value, defaults[name]);
}
