/**
 * The variables that the agent reads, under pilot-agent's names and with its defaults (pilot/cmd/pilot-agent/options).
 * ISTIO_META_*, ISTIO_METAJSON_*, XDS_HEADER_* and CA_HEADER_* are read by their prefix elsewhere.
 */
import { parseDuration } from "../../../../src/lib/duration.ts";
import type { Environment } from "./env.ts";

interface Variable<Kind extends string, Value> {
  readonly kind: Kind;
  readonly name: string;
  readonly default: Value;
  readonly doc: string;
}

type AnyVariable =
  | Variable<"text", string>
  | Variable<"flag", boolean>
  | Variable<"number", number>
  /** Milliseconds; written in Go's notation. */
  | Variable<"duration", number>;

const text = (name: string, doc: string, fallback = ""): Variable<"text", string> => ({
  kind: "text",
  name,
  default: fallback,
  doc,
});
const flag = (name: string, doc: string, fallback = false): Variable<"flag", boolean> => ({
  kind: "flag",
  name,
  default: fallback,
  doc,
});
const number = (name: string, doc: string, fallback = 0): Variable<"number", number> => ({
  kind: "number",
  name,
  default: fallback,
  doc,
});
const duration = (name: string, doc: string, fallbackMs: number): Variable<"duration", number> => ({
  kind: "duration",
  name,
  default: fallbackMs,
  doc,
});

/** One row a variable; the docs list each (docs/agent.md). */
export const variableTable = {
  podName: text("POD_NAME", "name of the pod"),
  podNamespace: text("POD_NAMESPACE", "namespace of the pod"),
  serviceAccount: text("SERVICE_ACCOUNT", "service account of the pod"),
  instanceIp: text("INSTANCE_IP", "address of the pod"),
  hostIp: text("HOST_IP", "address of the node; stands for $(HOST_IP) in addresses of tracers and in the override"),
  cpuLimit: number("ISTIO_CPU_LIMIT", "CPUs that the container may use: Envoy's threads where concurrency is not set"),
  proxyConfig: text("PROXY_CONFIG", "ProxyConfig (YAML or JSON) that the injector found for the pod"),
  bootstrapOverride: text("ISTIO_BOOTSTRAP_OVERRIDE", "file (YAML or JSON) that Envoy merges over the bootstrap"),
  trustDomain: text("TRUST_DOMAIN", "trust domain of the identity", "cluster.local"),
  clusterId: text("ISTIO_META_CLUSTER_ID", "cluster of the pod", "Kubernetes"),
  caAddress: text("CA_ADDR", "address of the CA; the control plane's where not given"),
  caProvider: text("CA_PROVIDER", "kind of CA", "Citadel"),
  caRoots: text("CA_ROOT_CA", "root certificates for the CA's connection; SYSTEM: those of the system"),
  xdsRoots: text("XDS_ROOT_CA", "root certificates for the connection to the control plane; SYSTEM: the system's"),
  pilotCertProvider: text("PILOT_CERT_PROVIDER", "who issues the control plane's certificate", "istiod"),
  provCert: text("PROV_CERT", "directory with a certificate to begin with, outside Kubernetes"),
  outputCerts: text("OUTPUT_CERTS", "directory into which certificates and keys are written"),
  fileMountedCerts: flag("FILE_MOUNTED_CERTS", "certificates come from /etc/certs, not from the CA"),
  istiodSan: text("ISTIOD_SAN", "name that the control plane's certificate must have"),
  secretTtlMs: duration("SECRET_TTL", "lifetime to ask the CA for", 86_400_000),
  graceRatio: number("SECRET_GRACE_PERIOD_RATIO", "share of the lifetime before its end at which to rotate", 0.5),
  graceRatioJitter: number("SECRET_GRACE_PERIOD_RATIO_JITTER", "by how much that share varies", 0.01),
  rsaKeySize: number("WORKLOAD_RSA_KEY_SIZE", "bits of RSA keys; ECDSA keys where not given", 0),
  eccAlgorithm: text("ECC_SIGNATURE_ALGORITHM", "ECDSA for elliptic keys"),
  eccCurve: text("ECC_CURVE", "curve of elliptic keys", "P256"),
  pkcs8Keys: flag("PKCS8_KEY", "write keys as PKCS #8"),
  fileDebounceMs: duration("FILE_DEBOUNCE_DURATION", "how long files must be quiet before they are read again", 100),
  workloadSocketFile: text("WORKLOAD_IDENTITY_SOCKET_FILE", "name of the socket that secrets come from", "socket"),
  certSigner: text("ISTIO_META_CERT_SIGNER", "signer to ask for"),
  dnsCapture: flag("ISTIO_META_DNS_CAPTURE", "answer DNS from the name table"),
  dnsServer: flag("ISTIO_META_ENABLE_DNS_SERVER", "answer DNS without capture, at gateways"),
  dnsAddress: text("DNS_PROXY_ADDR", "where to answer DNS", "localhost:15053"),
  dnsForwardParallel: flag("DNS_FORWARD_PARALLEL", "ask all name servers at once"),
  dnsForwardTimeoutMs: duration("DNS_FORWARD_TIMEOUT", "how long to wait for a name server", 5_000),
  envoyStatusPort: number("ENVOY_STATUS_PORT", "Envoy's port of readiness", 15021),
  envoyPrometheusPort: number("ENVOY_PROMETHEUS_PORT", "Envoy's port of metrics", 15090),
  secureMetricsPort: number("ENVOY_SECURE_METRICS_PORT", "Envoy's port of metrics with mutual TLS; 0: none"),
  secureMergedMetricsPort: number(
    "ENVOY_SECURE_MERGED_METRICS_PORT",
    "port of merged metrics with mutual TLS; 0: none",
  ),
  statusProxyProtocol: flag(
    "ENVOY_STATUS_PORT_ENABLE_PROXY_PROTOCOL",
    "take the PROXY protocol at the port of readiness",
  ),
  metadataDiscovery: flag("PEER_METADATA_DISCOVERY", "say METADATA_DISCOVERY to the control plane"),
  skipDeprecatedLogs: flag("ENVOY_SKIP_DEPRECATED_LOGS", "keep Envoy's lines about deprecated fields away", true),
  coreDumps: flag("ISTIO_ENVOY_ENABLE_CORE_DUMP", "start Envoy with --enable-core-dump"),
  minimumDrainMs: duration("MINIMUM_DRAIN_DURATION", "how long to drain before connections are counted", 5_000),
  exitOnZeroConnections: flag(
    "EXIT_ON_ZERO_ACTIVE_CONNECTIONS",
    "end when there is no connection left, whatever terminationDrainDuration says",
  ),
  appProbers: text("ISTIO_KUBE_APP_PROBERS", "the application's own probes (JSON); the injector sets it"),
  prometheusAnnotations: text("ISTIO_PROMETHEUS_ANNOTATIONS", "where the application's metrics are (JSON)"),
  mergeEnvoyMetrics: flag("PILOT_AGENT_MERGE_ENVOY_STATS", "put Envoy's metrics among the merged", true),
  metricsLocalhostOnly: flag("METRICS_LOCALHOST_ACCESS_ONLY", "give metrics to this pod alone"),
  localhostProbes: flag("REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION", "probe the application at localhost"),
  dualStack: flag("ISTIO_DUAL_STACK", "listen on both families of addresses"),
  stripFragment: flag("HTTP_STRIP_FRAGMENT_FROM_PATH_UNSAFE_IF_DISABLED", "strip fragments from paths", true),
  compliancePolicy: text("COMPLIANCE_POLICY", "fips-140-2 or fips-140-3"),
} as const satisfies { readonly [key: string]: AnyVariable };

type VariableKey = keyof typeof variableTable;

/** Values of the variables by our names for them. */
export type Variables = {
  readonly [Key in VariableKey]: (typeof variableTable)[Key] extends { readonly default: infer Value }
    ? Widened<Value>
    : never;
};

type Widened<Value> = Value extends boolean ? boolean : Value extends number ? number : string;

export interface ReadVariables {
  readonly variables: Variables;
  /** Names of variables that could not be understood and so have their default, as pilot-agent does. */
  readonly invalid: readonly string[];
}

/** Reads all variables of the table. An empty value counts as none, except for texts. */
export function readVariables(environment: Environment): ReadVariables {
  const invalid: string[] = [];
  const entries = Object.entries(variableTable).map(([key, variable]) => {
    const given = environment[variable.name];
    const value = given === undefined || given === "" ? variable.default : parseValue(variable, given);
    if (value === undefined) invalid.push(variable.name);
    return [key, value ?? variable.default] as const;
  });
  // The table makes the type.
  return { variables: Object.fromEntries(entries) as unknown as Variables, invalid };
}

function parseValue(variable: AnyVariable, given: string): string | number | boolean | undefined {
  switch (variable.kind) {
    case "text":
      return given;
    case "flag":
      return parseFlag(given);
    case "number":
      return given.trim() !== "" && Number.isFinite(Number(given)) ? Number(given) : undefined;
    case "duration":
      return parseDuration(given);
  }
}

/** As Go's strconv.ParseBool. */
function parseFlag(text: string): boolean | undefined {
  if (/^(1|t|true)$/i.test(text)) return true;
  return /^(0|f|false)$/i.test(text) ? false : undefined;
}
