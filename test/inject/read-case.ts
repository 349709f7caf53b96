/** Cases of injection: a folder with in.yaml, whose first document says under which mesh the pod of the second is made. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import { parseMeshConfig } from "../../src/api/mesh-config/parse.ts";
import type { MeshConfig } from "../../src/api/mesh-config/schema.ts";
import { parseObject } from "../../src/api/parse.ts";
import type { ProxyConfig } from "../../src/api/proxy-config/schema.ts";
import { parseInjectPath } from "../../src/inject/inject-path.ts";
import type { InjectionInput } from "../../src/inject/injection.ts";
import { parseInjectionConfig } from "../../src/inject/injection-config.ts";

export const casesDirectory = join(import.meta.dirname, "cases");

/** The first document of in.yaml. Everything that is left out is as it is by default. */
interface CaseSettings {
  readonly kind: "Case";
  readonly description: string;
  /** Key `config` of the injector's ConfigMap. */
  readonly config?: object;
  /** Key `values`, laid over those of a mesh with the usual resources. */
  readonly values?: object;
  readonly mesh?: object;
  readonly nativeSidecars?: boolean;
  readonly revision?: string;
  readonly namespace?: string;
  /** Path of the webhook. */
  readonly path?: string;
  readonly proxyConfigs?: readonly object[];
  readonly openShiftNamespace?: { readonly annotations: Readonly<Record<string, string>> };
  readonly compliancePolicy?: string;
}

export interface InjectionCase {
  readonly name: string;
  readonly input: InjectionInput;
}

export const listCases = (): readonly string[] => readdirSync(casesDirectory).sort();

/** Reads one case; throws where its settings cannot be used. */
export function readCase(name: string): InjectionCase {
  const [settings, pod] = parseAllDocuments(readFileSync(join(casesDirectory, name, "in.yaml"), "utf8")).map(
    (document) => document.toJS(),
  ) as [CaseSettings, unknown];
  if (settings.kind !== "Case" || settings.description.length < 10)
    throw new Error(`${name}: no Case with a description`);
  const parsed = parseInjectionConfig({
    config: JSON.stringify(settings.config ?? {}),
    values: JSON.stringify(layOver(usualValues, settings.values ?? {})),
  });
  if (parsed.config === undefined) throw new Error(`${name}: ${JSON.stringify(parsed.messages)}`);
  const input: InjectionInput = {
    pod,
    podNamespace: settings.namespace ?? "default",
    config: parsed.config,
    mesh: readMesh(name, settings.mesh ?? {}),
    revision: settings.revision ?? "",
    hasNativeSidecars: settings.nativeSidecars ?? false,
    environment: parseInjectPath(settings.path ?? "/inject"),
    proxyConfigs: (settings.proxyConfigs ?? []).map((object) => readProxyConfig(name, object)),
    compliancePolicy: settings.compliancePolicy ?? "",
    ...(settings.openShiftNamespace === undefined ? {} : { openShiftNamespace: settings.openShiftNamespace }),
  };
  return { name, input };
}

function readMesh(name: string, content: object): MeshConfig {
  const { mesh, messages } = parseMeshConfig(content);
  if (mesh === undefined) throw new Error(`${name}: ${JSON.stringify(messages)}`);
  return mesh;
}

function readProxyConfig(name: string, raw: object): ProxyConfig {
  const { object, messages } = parseObject(raw);
  if (object?.kind !== "ProxyConfig") throw new Error(`${name}: ${JSON.stringify(messages)}`);
  return object;
}

/** What Istio's chart has by default, in so far as it is not the same without being said. */
const usualValues = {
  global: {
    hub: "registry.example/mesh",
    tag: "1.0",
    proxy: {
      resources: { requests: { cpu: "100m", memory: "128Mi" }, limits: { cpu: "2000m", memory: "1024Mi" } },
    },
  },
};

function layOver(below: object, above: object): object {
  const result: Record<string, unknown> = { ...below };
  for (const [name, value] of Object.entries(above) as [string, unknown][]) {
    const under = result[name];
    result[name] = isMap(under) && isMap(value) ? layOver(under, value) : value;
  }
  return result;
}

const isMap = (value: unknown): value is object => typeof value === "object" && value !== null && !Array.isArray(value);
