/**
 * Every option and environment variable of `meltemi serve`, in one table: the command line, --help and the documentation
 * are made from it. Names and defaults are istiod's where it has the same thing (pilot/cmd/pilot-discovery, pilot/pkg/features).
 */
import { authorityFlags } from "./authority-flags.ts";
import { certificateFlags } from "./certificate-flags.ts";
import type { Environment } from "./env.ts";
import { featureFlags } from "./feature-flags.ts";
import { type AnyFlag, defineFlag, type FlagType, parseFlag, type ValueOf } from "./flag.ts";

export const flagTable = {
  configDir: defineFlag({
    name: "config-dir",
    aliases: ["configDir"],
    type: "string",
    default: "",
    doc: "Directory of YAML and JSON files that hold the mesh; read again whenever a file changes. Where it is not given, the mesh is read from Kubernetes.",
  }),
  kubeconfig: defineFlag({
    name: "kubeconfig",
    type: "string",
    default: "",
    doc: "Credentials for the API server; where it is not given, those of the pod, of KUBECONFIG or of ~/.kube/config.",
  }),
  kubernetesApiQps: defineFlag({
    name: "kubernetesApiQPS",
    type: "number",
    default: "80",
    doc: "Requests that the API server is sent each second at most; watches do not count.",
  }),
  kubernetesApiBurst: defineFlag({
    name: "kubernetesApiBurst",
    type: "integer",
    default: "160",
    doc: "Requests that may go to the API server at once above that rate.",
  }),
  watchNamespace: defineFlag({
    env: "ISTIO_WATCH_NAMESPACE",
    type: "string",
    default: "",
    doc: "Read Istio's kinds from this namespace only; all namespaces where empty.",
  }),
  secretNamespaces: defineFlag({
    env: "SECRET_NAMESPACES",
    type: "string",
    default: "",
    doc: "Namespaces whose Secrets and ConfigMaps are read for the TLS of gateways, separated by commas; none where empty.",
  }),
  revision: defineFlag({
    env: "REVISION",
    type: "string",
    default: "default",
    doc: "Revision of this control plane: objects with the label istio.io/rev of another one are not read.",
  }),
  sharedMeshConfig: defineFlag({
    env: "SHARED_MESH_CONFIG",
    type: "string",
    default: "",
    doc: "ConfigMap with mesh settings that the mesh's own ConfigMap is laid over.",
  }),
  validationWebhookConfigName: defineFlag({
    env: "VALIDATION_WEBHOOK_CONFIG_NAME",
    type: "string",
    default: "meltemi-validator-istio-system",
    doc: "ValidatingWebhookConfiguration that is kept right (its certificate authority and failure policy); none leaves all alone.",
  }),
  injectEnabled: defineFlag({
    env: "INJECT_ENABLED",
    type: "boolean",
    default: "true",
    doc: "Serve the webhook that injects proxies into pods; only where the mesh is read from Kubernetes.",
  }),
  injectionDirectory: defineFlag({
    env: "INJECTION_DIRECTORY",
    type: "string",
    default: "./var/lib/istio/inject",
    doc: "Directory with the files config and values of injection; where it has no config, the ConfigMap istio-sidecar-injector (istio-sidecar-injector-REVISION) counts.",
  }),
  injectionWebhookConfigName: defineFlag({
    env: "INJECTION_WEBHOOK_CONFIG_NAME",
    type: "string",
    default: "istio-sidecar-injector",
    doc: "MutatingWebhookConfigurations, separated by commas, whose certificate authority is kept right; none leaves all alone.",
  }),
  nativeSidecars: defineFlag({
    env: "ENABLE_NATIVE_SIDECARS",
    type: "string",
    default: "auto",
    doc: "Inject the proxy as an init container that keeps running: true, false, or auto, which does it where all nodes run Kubernetes 1.33 or later.",
  }),
  platform: defineFlag({
    env: "PLATFORM",
    type: "string",
    default: "",
    doc: "openshift has injected proxies run as users of the range that OpenShift gives each namespace.",
  }),
  leaderElection: defineFlag({
    env: "ENABLE_LEADER_ELECTION",
    type: "boolean",
    default: "true",
    doc: "Let one of several replicas write statuses and webhook configurations; false for a single one.",
  }),
  writeStatus: defineFlag({
    env: "PILOT_ENABLE_STATUS",
    type: "boolean",
    default: "true",
    doc: "Write into the status of Istio's kinds what is wrong with them and on how many proxies they are live.",
  }),
  writeAddresses: defineFlag({
    env: "PILOT_ENABLE_IP_AUTOALLOCATE",
    type: "boolean",
    default: "true",
    doc: "Write the addresses of services without one into the status of their ServiceEntries.",
  }),
  grpcAddr: defineFlag({
    name: "grpcAddr",
    type: "address",
    default: ":15010",
    doc: "Address for proxies: xDS over plaintext gRPC.",
  }),
  secureGrpcAddr: defineFlag({
    name: "secureGRPCAddr",
    type: "optionalAddress",
    default: ":15012",
    doc: "Address for proxies that prove who they are: xDS over gRPC with TLS, and secrets; with an empty text nothing is served there.",
  }),
  ...authorityFlags,
  xdsAuth: defineFlag({
    env: "XDS_AUTH",
    type: "boolean",
    default: "true",
    doc: "Have proxies prove over TLS who they are, by certificate or token; without it they get no secrets.",
  }),
  xdsIdentityCheck: defineFlag({
    env: "PILOT_ENABLE_XDS_IDENTITY_CHECK",
    type: "boolean",
    default: "true",
    doc: "Refuse proxies whose namespace or service account is not what they have proven; without it they get no secrets.",
  }),
  tokenAudiences: defineFlag({
    env: "TOKEN_AUDIENCES",
    type: "string",
    default: "istio-ca",
    doc: "Audiences, separated by commas, of which the token of a proxy must have one.",
  }),
  customHosts: defineFlag({
    env: "ISTIOD_CUSTOM_HOST",
    type: "string",
    default: "",
    doc: "More names, separated by commas, that the certificate of this control plane is made for.",
  }),
  httpAddr: defineFlag({
    name: "httpAddr",
    type: "address",
    default: ":8080",
    doc: "Address for readiness and, for requests from this machine, the debug pages.",
  }),
  httpsAddr: defineFlag({
    name: "httpsAddr",
    type: "address",
    default: ":15017",
    doc: "Address for webhooks of the API server: HTTPS; only where the mesh is read from Kubernetes.",
  }),
  monitoringAddr: defineFlag({
    name: "monitoringAddr",
    type: "address",
    default: ":15014",
    doc: "Address for metrics, version and, for requests from this machine, the debug pages.",
  }),
  tlsCertFile: defineFlag({
    name: "tlsCertFile",
    type: "string",
    default: "",
    doc: "Certificate for the webhooks and for xDS over TLS, PEM; read again when it changes. Where it is not given, our own authority makes one.",
  }),
  tlsKeyFile: defineFlag({ name: "tlsKeyFile", type: "string", default: "", doc: "Private key of that certificate." }),
  caCertFile: defineFlag({
    name: "caCertFile",
    type: "string",
    default: "",
    doc: "Certificate authority that clients check that certificate with.",
  }),
  domain: defineFlag({ name: "domain", type: "string", default: "cluster.local", doc: "DNS domain of the cluster." }),
  clusterId: defineFlag({
    name: "clusterID",
    env: "CLUSTER_ID",
    type: "string",
    default: "Kubernetes",
    doc: "Name of the cluster that the objects belong to.",
  }),
  namespace: defineFlag({
    name: "namespace",
    letter: "n",
    env: "POD_NAMESPACE",
    type: "string",
    default: "istio-system",
    doc: "Namespace of the control plane: configuration in it holds for the whole mesh.",
  }),
  podName: defineFlag({
    env: "POD_NAME",
    type: "string",
    default: "meltemi",
    doc: "Name of this instance, which proxies and logs are shown.",
  }),
  shutdownDuration: defineFlag({
    name: "shutdownDuration",
    type: "duration",
    default: "10s",
    doc: "How long streams may take to end after SIGTERM before they are cut.",
  }),
  keepaliveInterval: defineFlag({
    name: "keepaliveInterval",
    env: "GRPC_KEEPALIVE_INTERVAL",
    type: "duration",
    default: "30s",
    doc: "After this long without activity a connection is pinged.",
  }),
  keepaliveTimeout: defineFlag({
    name: "keepaliveTimeout",
    env: "GRPC_KEEPALIVE_TIMEOUT",
    type: "duration",
    default: "10s",
    doc: "A connection whose ping is not answered for this long is closed.",
  }),
  keepaliveMaxServerConnectionAge: defineFlag({
    name: "keepaliveMaxServerConnectionAge",
    type: "duration",
    default: "infinity",
    doc: "Connections older than this are asked to reconnect, which spreads them over new replicas.",
  }),
  logLevel: defineFlag({
    name: "log_output_level",
    aliases: ["log-level"],
    env: "LOG_LEVEL",
    type: "string",
    default: "info",
    doc: "Least level of log lines that are printed: debug, info, warn, error or none.",
  }),
  logAsJson: defineFlag({
    name: "log_as_json",
    env: "LOG_AS_JSON",
    type: "boolean",
    default: "false",
    doc: "Print one JSON object a line, for machines that read logs, instead of text.",
  }),
  debugOnHttp: defineFlag({
    env: "ENABLE_DEBUG_ON_HTTP",
    type: "boolean",
    default: "true",
    doc: "Serve the debug pages.",
  }),
  debugEndpointAuth: defineFlag({
    env: "ENABLE_DEBUG_ENDPOINT_AUTH",
    type: "boolean",
    default: "true",
    doc: "Show debug pages over the network to callers of the control plane's namespace alone, to others only what is about proxies of their own.",
  }),
  debugNamespaces: defineFlag({
    env: "DEBUG_ENDPOINT_AUTH_ALLOWED_NAMESPACES",
    type: "string",
    default: "",
    doc: "Namespaces, with commas between them, whose callers see the debug pages of everything.",
  }),
  envoyFilterStats: defineFlag({
    env: "PILOT_ENVOY_FILTER_STATS",
    type: "boolean",
    default: "false",
    doc: "Show in the metric pilot_envoy_filter_status which patches of EnvoyFilters are applied on connected proxies.",
  }),
  workloadAutoRegistration: defineFlag({
    env: "PILOT_ENABLE_WORKLOAD_ENTRY_AUTOREGISTRATION",
    type: "boolean",
    default: "true",
    doc: "Make a WorkloadEntry for each connected proxy that names a WorkloadGroup.",
  }),
  workloadHealthChecks: defineFlag({
    env: "PILOT_ENABLE_WORKLOAD_ENTRY_HEALTHCHECKS",
    type: "boolean",
    default: "true",
    doc: "Take what agents say of the health of workloads outside Kubernetes.",
  }),
  workloadGracePeriod: defineFlag({
    env: "PILOT_WORKLOAD_ENTRY_GRACE_PERIOD",
    type: "duration",
    default: "10s",
    doc: "A workload that was registered may be away for this long before its WorkloadEntry is deleted.",
  }),
  workloadIdentityCheck: defineFlag({
    env: "ISTIO_WORKLOAD_ENTRY_VALIDATE_IDENTITY",
    type: "boolean",
    default: "true",
    doc: "Register only proxies that have proven the namespace and service account of their WorkloadEntry.",
  }),
  debounceAfter: defineFlag({
    env: "PILOT_DEBOUNCE_AFTER",
    type: "duration",
    default: "100ms",
    doc: "Quiet time that ends a burst of changes; the first change of a quiet mesh goes out at once.",
  }),
  debounceMax: defineFlag({
    env: "PILOT_DEBOUNCE_MAX",
    type: "duration",
    default: "10s",
    doc: "Longest time that a burst without quiet may hold changes back.",
  }),
  pushThrottle: defineFlag({
    env: "PILOT_PUSH_THROTTLE",
    type: "integer",
    default: "0",
    doc: "Streams that are written to at the same time; 0 chooses by the number of processors.",
  }),
  maxRequestsPerSecond: defineFlag({
    env: "PILOT_MAX_REQUESTS_PER_SECOND",
    type: "number",
    default: "0",
    doc: "New streams accepted each second; 0 chooses by the number of processors.",
  }),
  sendTimeout: defineFlag({
    env: "PILOT_XDS_SEND_TIMEOUT",
    type: "duration",
    default: "30s",
    doc: "A proxy that does not read what is sent to it for this long is cut off; 0, the default of istiod, never does it.",
  }),
  maxStreams: defineFlag({
    env: "ISTIO_GPRC_MAXSTREAMS",
    type: "integer",
    default: "100000",
    doc: "Most streams on one connection.",
  }),
  maxReceiveMessageSize: defineFlag({
    env: "ISTIO_GPRC_MAXRECVMSGSIZE",
    type: "integer",
    default: "4194304",
    doc: "Largest request, in bytes, that a proxy may send.",
  }),
  ...certificateFlags,
  ...featureFlags,
} as const satisfies { readonly [key: string]: AnyFlag };

type FlagTable = typeof flagTable;
export type FlagKey = keyof FlagTable;
/** All flags with their values; durations in milliseconds. */
export type Flags = { readonly [Key in FlagKey]: ValueOf<FlagTable[Key]> };

/** Texts given on the command line, by the flag's key in the table. */
export type GivenOptions = { readonly [Key in FlagKey]?: string };

/**
 * Values of all flags from the command line, the environment and the defaults, in this order of precedence. Each text
 * that cannot be read gives a problem that names its origin; its default stands in for it.
 */
export function resolveFlags(
  options: GivenOptions,
  environment: Environment,
): { readonly flags: Flags; readonly problems: readonly string[] } {
  const problems: string[] = [];
  const entries = Object.entries(flagTable).map(([key, flag]: [string, AnyFlag]) => {
    const given = options[key as FlagKey];
    const fromEnvironment = flag.env === undefined ? undefined : environment[flag.env];
    // An empty variable counts as unset, as in istiod.
    const variable = fromEnvironment === "" ? undefined : fromEnvironment;
    const origin = given === undefined ? `environment variable ${flag.env}` : `--${flag.name}`;
    const parsed = parseFlag<FlagType>(flag.type, given ?? variable ?? flag.default);
    if ("value" in parsed) return [key, parsed.value];
    problems.push(`${origin}: ${parsed.problem}`);
    return [key, valueOrThrow(flag)];
  });
  return { flags: Object.fromEntries(entries) as Flags, problems };
}

function valueOrThrow(flag: AnyFlag): unknown {
  const parsed = parseFlag<FlagType>(flag.type, flag.default);
  if ("value" in parsed) return parsed.value;
  throw new Error(`default of ${flag.name ?? flag.env} cannot be read: ${parsed.problem}`);
}

/** Description of a flag for --help: what it does, its variable and its default. */
export function describeFlag(flag: AnyFlag): string {
  const notes = [
    ...(flag.name !== undefined && flag.env !== undefined ? [`also ${flag.env}`] : []),
    ...(flag.default === "" ? [] : [`default ${flag.default}`]),
  ];
  return notes.length === 0 ? flag.doc : `${flag.doc} (${notes.join("; ")})`;
}
