/**
 * Who this proxy says it is: Envoy's node, with the id and metadata that Istio's control plane reads
 * (pkg/bootstrap/config.go, pkg/model/proxy.go). Lists are texts with commas, booleans texts, numbers numbers.
 */
import type { Environment } from "./env.ts";
import { isJsonObject, type JsonObject, readText } from "./json.ts";
import type { ProxyConfig } from "./proxy-config.ts";
import type { Variables } from "./variables.ts";

/** What stands beside the proxy. */
export type ProxyType = "sidecar" | "router";

export interface NodeSources {
  readonly type: ProxyType;
  readonly environment: Environment;
  readonly variables: Variables;
  readonly config: ProxyConfig;
  readonly addresses: readonly string[];
  readonly domain: string;
  /** Undefined where the kubelet wrote none. */
  readonly labels: Readonly<Record<string, string>> | undefined;
  readonly annotations: Readonly<Record<string, string>> | undefined;
  readonly outlierLogPath: string;
  /** Somebody else serves secrets of gateways (./var/run/secrets/credential-uds/socket). */
  readonly hasCredentialSocket: boolean;
  /** Somebody else serves the workload's secrets, the agent files alone. */
  readonly servesOnlyFiles: boolean;
}

export interface Locality {
  readonly region?: string;
  readonly zone?: string;
  readonly sub_zone?: string;
}

export interface ProxyNode {
  readonly id: string;
  readonly cluster: string;
  readonly locality: Locality;
  readonly metadata: JsonObject;
}

/** Version of Istio's data plane whose contract with the control plane the agent keeps. */
const istioVersion = "1.31.0";
/** Label of Deployments' pods that says nothing about the workload. */
const templateHash = "pod-template-hash";

export function buildNode(sources: NodeSources): ProxyNode {
  const { variables, addresses, type, domain } = sources;
  const given = readGivenMetadata(sources.environment, sources.config);
  const labels = readLabels(sources, given);
  const locality = readLocality(labels);
  const metadata = buildMetadata(sources, given, locality === "" ? labels : { ...labels, "istio-locality": locality });
  const [region = "", zone = "", ...rest] = locality.split("/");
  return {
    id: [type, addresses[0] ?? "", `${variables.podName}.${variables.podNamespace}`, domain].join("~"),
    cluster: buildClusterName(sources.config, metadata, labels),
    locality: {
      ...(region === "" ? {} : { region }),
      ...(zone === "" ? {} : { zone }),
      ...(rest.length === 0 ? {} : { sub_zone: rest.join("/") }),
    },
    metadata,
  };
}

/** ISTIO_META_* of the ProxyConfig and over them those of the environment, and the objects in ISTIO_METAJSON_*. */
function readGivenMetadata(environment: Environment, config: ProxyConfig): JsonObject {
  const given: Record<string, JsonObject[string]> = {};
  for (const [name, value] of [...Object.entries(config.proxyMetadata), ...Object.entries(environment)]) {
    if (name.startsWith("ISTIO_META_")) given[name.slice("ISTIO_META_".length)] = value;
  }
  for (const [name, value] of Object.entries(environment)) {
    if (name.startsWith("ISTIO_METAJSON_")) Object.assign(given, parseObject(value));
  }
  return given;
}

/** A variable that holds no object says nothing; what people put into it must not keep the proxy from starting. */
function parseObject(text: string | undefined): JsonObject {
  try {
    const value: unknown = JSON.parse(text ?? "");
    return isJsonObject(value) ? value : {};
  } catch {
    return {};
  }
}

function readStaticLabels({ environment }: NodeSources): JsonObject {
  return parseObject(environment["ISTIO_METAJSON_LABELS"]);
}

function readLabels(sources: NodeSources, given: JsonObject): JsonObject {
  const fixed = readStaticLabels(sources);
  if (sources.labels === undefined) {
    if (Object.keys(fixed).length > 0) return fixed;
    return isJsonObject(given["LABELS"]) ? given["LABELS"] : {};
  }
  const { [templateHash]: _hash, ...ofPod } = sources.labels;
  return { ...fixed, ...ofPod };
}

/** Kubernetes' labels may hold no slash, so that dots may stand for them. */
function readLocality(labels: JsonObject): string {
  const label = readText(labels, "topology.istio.io/locality") ?? readText(labels, "istio-locality") ?? "";
  return label.includes("/") ? label : label.replaceAll(".", "/");
}

function buildMetadata(sources: NodeSources, given: JsonObject, labels: JsonObject): JsonObject {
  const { variables, config, annotations } = sources;
  const fixed = readStaticLabels(sources);
  const discovery =
    sources.environment["PEER_METADATA_DISCOVERY"] === undefined
      ? isTrue(given["ENABLE_HBONE"])
      : variables.metadataDiscovery;
  const own: JsonObject = {
    PROXY_CONFIG: config.fields,
    ISTIO_VERSION: readText(given, "ISTIO_VERSION") ?? istioVersion,
    LABELS: orNothing(labels),
    STATIC_LABELS: orNothing(fixed),
    ANNOTATIONS: annotations === undefined ? given["ANNOTATIONS"] : orNothing(annotations),
    INSTANCE_IPS: sources.addresses.join(","),
    NAME: orNothing(variables.podName),
    NAMESPACE: orNothing(variables.podNamespace) ?? given["NAMESPACE"],
    SERVICE_ACCOUNT: orNothing(variables.serviceAccount) ?? given["SERVICE_ACCOUNT"],
    ENVOY_STATUS_PORT: orNothing(variables.envoyStatusPort),
    ENVOY_PROMETHEUS_PORT: orNothing(variables.envoyPrometheusPort),
    ENVOY_SECURE_METRICS_PORT: orNothing(variables.secureMetricsPort),
    ENVOY_SECURE_MERGED_METRICS_PORT: orNothing(variables.secureMergedMetricsPort),
    EXIT_ON_ZERO_ACTIVE_CONNECTIONS: variables.exitOnZeroConnections ? "true" : undefined,
    ENVOY_SKIP_DEPRECATED_LOGS: variables.skipDeprecatedLogs ? "true" : undefined,
    METADATA_DISCOVERY: String(discovery),
    WORKLOAD_IDENTITY_SOCKET_FILE: orNothing(variables.workloadSocketFile),
    DNS_PROXY_ADDR: orNothing(sources.environment["DNS_PROXY_ADDR"] ?? ""),
    PILOT_SAN: config.hasMutualTls ? [findPilotName(config.discoveryAddress)] : undefined,
    OUTLIER_LOG_PATH: orNothing(sources.outlierLogPath),
    credential: sources.hasCredentialSocket ? "true" : undefined,
    "file-credential": sources.servesOnlyFiles ? "true" : undefined,
  };
  const said = Object.entries({ ...given, ...own }).filter(([, value]) => value !== undefined);
  return Object.fromEntries(said.sort(([left], [right]) => (left < right ? -1 : 1)));
}

function orNothing<Value extends string | number | JsonObject>(value: Value): Value | undefined {
  if (typeof value === "object") return Object.keys(value).length === 0 ? undefined : value;
  return value === "" || value === 0 ? undefined : value;
}

const isTrue = (value: unknown): boolean => value === "true" || value === true;

/** Name of the control plane in its certificate; an address of this machine is a tunnel to the usual one. */
function findPilotName(discoveryAddress: string): string {
  const host = discoveryAddress.split(":")[0] ?? "";
  return host === "localhost" ? "istiod.istio-system.svc" : host;
}

/** `--service-cluster`: what traces and some statistics call the workload. */
function buildClusterName({ fields }: ProxyConfig, metadata: JsonObject, labels: JsonObject): string {
  const namespace = readText(metadata, "NAMESPACE") ?? "";
  const workload = readText(metadata, "WORKLOAD_NAME");
  const canonical =
    readText(labels, "service.istio.io/canonical-name") ??
    readText(labels, "app.kubernetes.io/name") ??
    readText(labels, "app") ??
    workload ??
    "istio-proxy";
  switch (fields["tracingServiceName"]) {
    case "CANONICAL_NAME_ONLY":
      if (canonical !== "istio-proxy") return canonical;
      break;
    case "CANONICAL_NAME_AND_NAMESPACE":
      if (namespace !== "") return `${canonical}.${namespace}`;
      break;
  }
  const given = readText(fields, "serviceCluster");
  if (given !== undefined && given !== "istio-proxy") return given;
  const app =
    readText(labels, "app") ??
    readText(labels, "app.kubernetes.io/name") ??
    readText(labels, "service.istio.io/canonical-name") ??
    workload ??
    "istio-proxy";
  return namespace === "" && app === "istio-proxy" ? app : `${app}.${namespace}`;
}
