/**
 * The ProxyConfig of this proxy: Istio's defaults, over them `defaultConfig` of the mesh configuration's file (gateways
 * mount it), over that PROXY_CONFIG (the injector sets it), over that the annotation proxy.istio.io/config. A field that
 * is present replaces the one below it, lists and maps as a whole, proxyMetadata alone key by key
 * (cmd/pilot-agent/config, pkg/config/mesh).
 */
import { parse } from "yaml";
import { defaultProxyConfig } from "../../../../src/lib/default-proxy-config.ts";
import { parseDuration } from "../../../../src/lib/duration.ts";
import { isJsonObject, type JsonObject, readObject, readText, readTextMap } from "./json.ts";

export interface ProxyConfig {
  /** All of it, in proto3's JSON form: the control plane and the bootstrap read further fields. */
  readonly fields: JsonObject;
  readonly configPath: string;
  readonly binaryPath: string;
  readonly discoveryAddress: string;
  readonly statusPort: number;
  readonly proxyAdminPort: number;
  /** 0: Envoy decides. */
  readonly concurrency: number;
  readonly drainDurationMs: number;
  readonly terminationDrainDurationMs: number;
  /** Undefined where Envoy's agent keeps its own default. */
  readonly fileFlushIntervalMs: number | undefined;
  readonly fileFlushMinSizeKb: number;
  readonly proxyMetadata: Readonly<Record<string, string>>;
  /** False where the control plane is called in plain text (controlPlaneAuthPolicy NONE). */
  readonly hasMutualTls: boolean;
}

export interface ProxyConfigSources {
  /** Content of the file of --meshConfig; undefined where there is none. */
  readonly meshConfig?: string | undefined;
  /** PROXY_CONFIG */
  readonly environment: string;
  readonly annotations: Readonly<Record<string, string>>;
  /** --concurrency; 0 where not given. */
  readonly concurrency: number;
  /** --serviceCluster */
  readonly serviceCluster: string;
  /** ISTIO_CPU_LIMIT */
  readonly cpuLimit: number;
}

/** The configuration of the agent cannot be meant as it stands; the message says where. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}

/** Puts the sources together. Throws ConfigError where one cannot be read or a value is out of its range. */
export function resolveProxyConfig(sources: ProxyConfigSources): ProxyConfig {
  const { annotations } = sources;
  const mesh = parseLayer("the mesh configuration", sources.meshConfig);
  const layers = [
    nameFields(readObject(mesh, "defaultConfig") ?? {}),
    parseLayer("PROXY_CONFIG", sources.environment),
    parseLayer("annotation proxy.istio.io/config", annotations["proxy.istio.io/config"]),
  ];
  const merged = layers.reduce<JsonObject>(mergeLayer, defaultProxyConfig);
  const fields = { ...merged, ...readAnnotations(annotations), ...readConcurrency(merged, sources) };
  const named = fields["serviceCluster"] === "" ? { ...fields, serviceCluster: sources.serviceCluster } : fields;
  return describe(named);
}

function parseLayer(what: string, text: string | undefined): JsonObject {
  if (text === undefined || text.trim() === "") return {};
  let value: unknown;
  try {
    value = parse(text);
  } catch (cause: unknown) {
    throw new ConfigError(`${what} is neither YAML nor JSON`, { cause });
  }
  if (value === null) return {};
  if (!isJsonObject(value)) throw new ConfigError(`${what} is no object`);
  return nameFields(value);
}

/** Protobuf takes a field's own name (snake_case) as well as the one of its JSON form. */
function nameFields(fields: JsonObject): JsonObject {
  const toJsonName = (name: string): string =>
    name.replaceAll(/_([a-z0-9])/g, (_whole, letter: string) => letter.toUpperCase());
  return Object.fromEntries(Object.entries(fields).map(([name, field]) => [toJsonName(name), field]));
}

function mergeLayer(below: JsonObject, above: JsonObject): JsonObject {
  const metadata = { ...readTextMap(below, "proxyMetadata"), ...readTextMap(above, "proxyMetadata") };
  // One field says what the proxy's cluster is called, in either of two ways (a oneof).
  const { serviceCluster, tracingServiceName, ...rest } = below;
  const isNamed = "serviceCluster" in above || "tracingServiceName" in above;
  const name = isNamed ? {} : { ...defined({ serviceCluster }), ...defined({ tracingServiceName }) };
  return { ...rest, ...name, ...above, ...(Object.keys(metadata).length === 0 ? {} : { proxyMetadata: metadata }) };
}

const defined = (object: JsonObject): JsonObject =>
  Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));

/** The two settings that have annotations of their own. */
function readAnnotations(annotations: Readonly<Record<string, string>>): JsonObject {
  const address = annotations["sidecar.istio.io/discoveryAddress"];
  const port = annotations["status.sidecar.istio.io/port"];
  return {
    ...(address === undefined ? {} : { discoveryAddress: address }),
    ...(port === undefined || !/^\d+$/.test(port) ? {} : { statusPort: Number(port) }),
  };
}

function readConcurrency(fields: JsonObject, { concurrency, cpuLimit }: ProxyConfigSources): JsonObject {
  if (concurrency !== 0) return { concurrency };
  // Threads for all CPUs of a large node, in a container that may use two of them, would only be throttled.
  return "concurrency" in fields || cpuLimit === 0 ? {} : { concurrency: Math.ceil(cpuLimit) };
}

function describe(fields: JsonObject): ProxyConfig {
  const flush = fields["fileFlushInterval"];
  return {
    fields,
    configPath: readRequired(fields, "configPath"),
    binaryPath: readRequired(fields, "binaryPath"),
    discoveryAddress: readRequired(fields, "discoveryAddress"),
    statusPort: readPort(fields, "statusPort"),
    proxyAdminPort: readPort(fields, "proxyAdminPort"),
    concurrency: readCount(fields, "concurrency"),
    drainDurationMs: readDuration(fields, "drainDuration"),
    terminationDrainDurationMs: readDuration(fields, "terminationDrainDuration"),
    fileFlushIntervalMs: flush === undefined ? undefined : readDuration(fields, "fileFlushInterval"),
    fileFlushMinSizeKb: readCount(fields, "fileFlushMinSizeKb"),
    proxyMetadata: readTextMap(fields, "proxyMetadata"),
    hasMutualTls: fields["controlPlaneAuthPolicy"] !== "NONE",
  };
}

function readRequired(fields: JsonObject, name: string): string {
  const text = readText(fields, name);
  if (text === undefined) throw new ConfigError(`ProxyConfig: ${name} must be a text that is not empty`);
  return text;
}

function readCount(fields: JsonObject, name: string): number {
  const value = Number(fields[name] ?? 0);
  if (!Number.isInteger(value) || value < 0) throw new ConfigError(`ProxyConfig: ${name} must be a whole number`);
  return value;
}

function readPort(fields: JsonObject, name: string): number {
  const port = readCount(fields, name);
  if (port > 65_535) throw new ConfigError(`ProxyConfig: ${name} must be a port`);
  return port;
}

function readDuration(fields: JsonObject, name: string): number {
  const durationMs = parseDuration(String(fields[name]));
  if (durationMs === undefined || durationMs < 0) throw new ConfigError(`ProxyConfig: ${name} must be a duration`);
  return durationMs;
}
