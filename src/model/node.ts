/**
 * From the node message of an xDS request to a Proxy (Istio: pilot/pkg/model/context.go ParseServiceNodeWithMetadata and
 * pkg/model/proxy.go). Everything here is what the proxy says of itself: text is checked, never trusted.
 */
import { isIP } from "node:net";
import { readNodeProxyConfig } from "../api/mesh-config/node-proxy-config.ts";
import type { Labels } from "../api/object.ts";
import { type Locality, parseLocality } from "./endpoint.ts";
import type { IstioVersion, Proxy as MeshProxy, ProxyType } from "./proxy.ts";

/** The fields of envoy.config.core.v3.Node that count; metadata as plain JSON. */
export interface NodeMessage {
  readonly id?: string | undefined;
  readonly cluster?: string | undefined;
  readonly metadata?: { readonly [name: string]: unknown } | null | undefined;
  readonly locality?:
    | {
        readonly region?: string | undefined;
        readonly zone?: string | undefined;
        readonly sub_zone?: string | undefined;
      }
    | null
    | undefined;
  readonly user_agent_name?: string | undefined;
  readonly user_agent_version?: string | undefined;
  readonly user_agent_build_version?:
    | {
        readonly version?:
          | {
              readonly major_number?: number | undefined;
              readonly minor_number?: number | undefined;
              readonly patch?: number | undefined;
            }
          | null
          | undefined;
      }
    | null
    | undefined;
  readonly extensions?: readonly { readonly name?: string | undefined }[] | null | undefined;
  readonly client_features?: readonly string[] | null | undefined;
}

const proxyTypes: ReadonlyMap<string, ProxyType> = new Map([
  ["sidecar", "sidecar"],
  ["router", "router"],
]);

const interceptionModes = ["REDIRECT", "TPROXY", "NONE"] as const;

/**
 * Parses a node; the text says what is wrong with it. Its id is `type~ip~name.namespace~domain`, its addresses are those
 * of metadata INSTANCE_IPS, else that of the id; its namespace is metadata NAMESPACE, else the first label of the domain.
 */
export function parseNode(node: NodeMessage): MeshProxy | string {
  const nodeId = node.id ?? "";
  if (nodeId === "") return "missing node id";
  const parts = nodeId.split("~");
  const [typeName = "", ip = "", id = "", dnsDomain = ""] = parts;
  if (parts.length !== 4) return `node id "${nodeId}" must have 4 parts: type~ip~name.namespace~domain`;
  const type = proxyTypes.get(typeName);
  if (type === undefined) return `node id "${nodeId}" has the type "${typeName}"; only sidecar and router are served`;
  if (id === "") return `node id "${nodeId}" has no name`;
  const metadata = node.metadata ?? {};
  const addresses = parseAddresses(metadata["INSTANCE_IPS"], ip);
  if (addresses.length === 0)
    return `node id "${nodeId}" has no valid IP address, nor has INSTANCE_IPS of its metadata`;
  const namespace = parseText(metadata["NAMESPACE"]) || (dnsDomain.split(".")[0] ?? "");
  if (namespace === "") return `node id "${nodeId}" has no namespace, nor has its metadata`;
  return {
    ...parseMetadata(metadata),
    id,
    nodeId,
    type,
    addresses,
    namespace,
    dnsDomain,
    ...parseClient(node, metadata),
  };
}

type FromMetadata = Omit<
  MeshProxy,
  "id" | "nodeId" | "type" | "addresses" | "namespace" | "dnsDomain" | "locality" | "extensions" | "userAgent"
>;

function parseMetadata(metadata: { readonly [name: string]: unknown }): FromMetadata {
  const text = (name: string): string => parseText(metadata[name]);
  const labels = { ...parseLabels(metadata["STATIC_LABELS"]), ...parseLabels(metadata["LABELS"]) };
  const config = readNodeProxyConfig(metadata["PROXY_CONFIG"]);
  return {
    labels,
    annotations: parseLabels(metadata["ANNOTATIONS"]),
    serviceAccount: text("SERVICE_ACCOUNT"),
    clusterId: text("CLUSTER_ID"),
    meshId: text("MESH_ID"),
    network: text("NETWORK"),
    ...parseView(text("REQUESTED_NETWORK_VIEW")),
    ...(parseFlag(metadata["ENABLE_SELF_DISCOVERY"]) ? { discoversItself: true } : {}),
    nodeName: text("NODE_NAME"),
    workloadName: text("WORKLOAD_NAME"),
    istioVersion: parseIstioVersion(text("ISTIO_VERSION")),
    interceptionMode: interceptionModes.find((mode) => mode === text("INTERCEPTION_MODE")) ?? "REDIRECT",
    httpProxyPort: parsePort(text("HTTP_PROXY_PORT")),
    acceptHttp10: text("HTTP10") === "1",
    privileged: !parseFlag(metadata["UNPRIVILEGED_POD"]),
    dnsCapture: parseFlag(metadata["DNS_CAPTURE"]),
    dnsAutoAllocate: parseFlag(metadata["DNS_AUTO_ALLOCATE"]),
    generator: text("GENERATOR") || undefined,
    idleTimeoutMs: parseMilliseconds(text("IDLE_TIMEOUT")),
    exactBalance: {
      inbound: parseFlag(metadata["INBOUND_LISTENER_EXACT_BALANCE"]),
      outbound: parseFlag(metadata["OUTBOUND_LISTENER_EXACT_BALANCE"]),
    },
    ...(config === undefined ? {} : { config }),
    metadata,
  };
}

/** Names of networks, separated by commas; none asks for all of them. */
function parseView(stated: string): Pick<MeshProxy, "networkView"> {
  const names = stated.split(",").filter((name) => name !== "");
  return names.length === 0 ? {} : { networkView: [...new Set(names)].sort() };
}

function parseClient(
  node: NodeMessage,
  metadata: { readonly [name: string]: unknown },
): Pick<MeshProxy, "locality" | "extensions" | "userAgent"> {
  const names = (node.extensions ?? []).flatMap((extension) => extension.name || []);
  const version = node.user_agent_build_version?.version;
  const built = version && `${version.major_number ?? 0}.${version.minor_number ?? 0}.${version.patch ?? 0}`;
  const agent = [node.user_agent_name, node.user_agent_version || built].filter((part) => part).join("/");
  return {
    locality: parseNodeLocality(node, metadata),
    extensions: names.length === 0 ? undefined : new Set(names.sort()),
    userAgent: agent,
  };
}

function parseNodeLocality(node: NodeMessage, metadata: { readonly [name: string]: unknown }): Locality {
  const stated = node.locality;
  if (stated?.region || stated?.zone || stated?.sub_zone) {
    return { region: stated.region ?? "", zone: stated.zone ?? "", subzone: stated.sub_zone ?? "" };
  }
  // Labels take no slash, so that dots stand for them.
  const label = parseLabels(metadata["LABELS"])["istio-locality"] ?? "";
  return parseLocality(label.includes("/") ? label : label.replaceAll(".", "/"));
}

function parseAddresses(stated: unknown, ip: string): readonly string[] {
  const valid = parseText(stated)
    .split(",")
    .map((address) => address.trim())
    .filter((address) => isIP(address) !== 0);
  if (valid.length > 0) return [...new Set(valid)];
  return isIP(ip) === 0 ? [] : [ip];
}

/** Metadata values are text on the wire, but agents of other makes send numbers and booleans. */
export function parseText(value: unknown): string {
  if (typeof value === "string") return value;
  return typeof value === "number" || typeof value === "boolean" ? String(value) : "";
}

function parseFlag(value: unknown): boolean {
  return value === true || value === 1 || /^(true|1|t)$/i.test(parseText(value));
}

/** Names and texts of a map in the metadata; what is no text is left out. */
export function parseLabels(value: unknown): Labels {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return {};
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, entry]): [string, string][] => {
      const text = parseText(entry);
      return text === "" && entry !== "" ? [] : [[name, text]];
    }),
  );
}

function parsePort(text: string): number | undefined {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  return port > 0 && port < 65536 ? port : undefined;
}

/** Parses "1.31.0", "1.31-dev", "1.31.0-rc.1"; undefined where there is no version at the start. */
function parseIstioVersion(text: string): IstioVersion | undefined {
  const match = /^v?(\d+)\.(\d+)(?:\.(\d+))?/.exec(text);
  if (match === null) return undefined;
  return { major: Number(match[1]), minor: Number(match[2]), patch: Number(match[3] ?? 0) };
}

const unitMs: { readonly [unit: string]: number } = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/** Parses Go's notation of durations ("1h30m", "0.5s", "0") to milliseconds; undefined where it is none. */
function parseMilliseconds(text: string): number | undefined {
  if (text === "0") return 0;
  if (!/^(\d+(\.\d+)?([nuµm]?s|m|h))+$/.test(text)) return undefined;
  let total = 0;
  for (const [, amount = "0", , unit = ""] of text.matchAll(/(\d+(\.\d+)?)([nuµm]?s|m|h)/g)) {
    total += Number(amount) * (unitMs[unit] ?? 0);
  }
  return total;
}
