/**
 * Which of Envoy's statistics are kept, and how labels are taken out of their names: as in Istio's bootstrap, so that its
 * dashboards and queries work (tools/packaging/common/envoy_bootstrap.json, pkg/bootstrap/config.go).
 */
import { parseDuration } from "../../../../src/lib/duration.ts";
import { isJsonObject, type JsonObject, readObject, readText, readTexts } from "../config/json.ts";

/** What readiness is decided by. */
const neededPrefixes = ["cluster_manager", "listener_manager", "server", "cluster.xds-grpc", "wasm"];
const neededSuffixes = ["rbac.allowed", "rbac.denied", "shadow_allowed", "shadow_denied"];
/** Names that VirtualServices give to their routes' statistics. */
const neededPatterns = ["vhost\\..*\\.route\\..*"];

/** Labels and the part of a name that holds them; the order is that of Istio's bootstrap, in which Envoy tries them. */
const tagsBeforeExtra: readonly (readonly [string, string])[] = [
  ["cluster_name", "^cluster(\\.(.+);)"],
  ["http_conn_manager_prefix", "^http\\.(((?:[_.[:digit:]\\w]*|[_\\[\\]aAbBcCdDeEfF[:digit:]\\w\\:]*));\\.)"],
  ["thread_name", "^server(\\.(.+))\\.watchdog"],
  ["tcp_prefix", "^tcp\\.((.*?)\\.)\\w+?$"],
  ["response_code", "_rq(_(\\d{3}))$"],
  ["response_code_class", "_rq(_(\\dxx))$"],
  [
    "http_conn_manager_listener_prefix",
    "^listener(?=\\.).*?\\.http\\.(((?:[_.[:digit:]]*|[_\\[\\]aAbBcCdDeEfF[:digit:]]*))\\.)",
  ],
  ["listener_address", "^listener\\.(((?:[_.[:digit:]]*|[_\\[\\]aAbBcCdDeEfF[:digit:]]*))\\.)"],
  ["mongo_prefix", "^mongo\\.(.+?)\\.(collection|cmd|cx_|op_|delays_|decoding_)(.*?)$"],
];
const tagsAfterExtra: readonly (readonly [string, string])[] = [
  ["cache", "(cache\\.(.+?)\\.)"],
  ["component", "(component\\.(.+?)\\.)"],
  ["tag", "(tag\\.(.+?);\\.)"],
  ["wasm_filter", "(wasm_filter\\.(.+?)\\.)"],
  ["authz_enforce_result", "rbac(\\.(allowed|denied))"],
  ["authz_dry_run_action", "(\\.istio_dry_run_(allow|deny)_)"],
  ["authz_dry_run_result", "(\\.shadow_(allowed|denied))"],
];

export interface StatisticsOptions {
  /** ProxyConfig in its JSON form. */
  readonly config: JsonObject;
  readonly annotations: JsonObject | undefined;
  readonly addresses: readonly string[];
  /** Counts open connections, for which the agent waits at its end. */
  readonly countsConnections: boolean;
}

export interface StatisticsParts {
  readonly stats_config: JsonObject;
  readonly stats_flush_interval?: string;
  readonly stats_eviction_interval?: string;
}

export function buildStatistics(options: StatisticsOptions): StatisticsParts {
  const buckets = readBuckets(readText(options.annotations, "sidecar.istio.io/statsHistogramBuckets"));
  return {
    stats_config: {
      use_all_default_tags: false,
      stats_tags: buildTags(options),
      ...(buckets.length === 0 ? {} : { histogram_bucket_settings: buckets }),
      stats_matcher: { inclusion_list: { patterns: buildPatterns(options) } },
    },
    ...buildIntervals(options.annotations),
  };
}

function buildTags({ config, annotations }: StatisticsOptions): readonly JsonObject[] {
  const given = [...readTexts(config, "extraStatTags"), ...splitList(annotations, "sidecar.istio.io/extraStatTags")];
  const extra = [...new Set(given.filter((tag) => /^\w+$/.test(tag)))].map(
    (tag) => [tag, `(${tag}=\\.=(.*?);\\.;)`] as const,
  );
  return [...tagsBeforeExtra, ...extra, ...tagsAfterExtra].map(([tag_name, regex]) => ({ tag_name, regex }));
}

function buildPatterns(options: StatisticsOptions): readonly JsonObject[] {
  const connections = options.countsConnections ? ["downstream_cx_active"] : [];
  const prefixes = [...listInclusions("Prefixes", options), ...neededPrefixes];
  const suffixes = [...listInclusions("Suffixes", options), ...neededSuffixes, ...connections];
  const patterns = [...listInclusions("Regexps", options), ...neededPatterns];
  return [
    { prefix: "reporter=" },
    ...prefixes.map((prefix) => ({ prefix })),
    ...suffixes.map((suffix) => ({ suffix })),
    ...patterns.map((regex) => ({ safe_regex: { regex } })),
    { prefix: "component" },
    { prefix: "istio" },
  ];
}

/** The pod's annotation, or else the ProxyConfig's; "{pod_ip}" stands for each address of the pod. */
function listInclusions(kind: "Prefixes" | "Suffixes" | "Regexps", options: StatisticsOptions): readonly string[] {
  const ofPod = splitList(options.annotations, `sidecar.istio.io/statsInclusion${kind}`);
  const matcher = readObject(options.config, "proxyStatsMatcher");
  const given = ofPod.length > 0 ? ofPod : readTexts(matcher, `inclusion${kind}`);
  return given.flatMap((pattern) =>
    pattern.includes("{pod_ip}")
      ? options.addresses.map((address) => pattern.replaceAll("{pod_ip}", address))
      : [pattern],
  );
}

function splitList(annotations: JsonObject | undefined, name: string): readonly string[] {
  return (readText(annotations, name) ?? "").split(",").filter((item) => item !== "");
}

/** From {"prefix": [1, 5, 10]}; what is none is left out. */
function readBuckets(text: string | undefined): readonly JsonObject[] {
  if (text === undefined) return [];
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return [];
  }
  if (!isJsonObject(value)) return [];
  return Object.entries(value)
    .filter(([, buckets]) => Array.isArray(buckets) && buckets.every((bucket) => typeof bucket === "number"))
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([prefix, buckets]) => ({ match: { prefix }, buckets: buckets as readonly number[] }));
}

/** Envoy's own interval of flushing, in which the other must fit a whole number of times. */
const defaultFlushMs = 5_000;

function buildIntervals(annotations: JsonObject | undefined): Omit<StatisticsParts, "stats_config"> {
  const flushMs = parseDuration(readText(annotations, "sidecar.istio.io/statsFlushInterval") ?? "");
  const evictionMs = parseDuration(readText(annotations, "sidecar.istio.io/statsEvictionInterval") ?? "");
  const fits = evictionMs !== undefined && evictionMs > 0 && evictionMs % (flushMs ?? defaultFlushMs) === 0;
  return {
    ...(flushMs === undefined ? {} : { stats_flush_interval: `${flushMs / 1000}s` }),
    ...(fits ? { stats_eviction_interval: `${evictionMs / 1000}s` } : {}),
  };
}
