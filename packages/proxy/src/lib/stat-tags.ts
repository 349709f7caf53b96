/**
 * Labels that are taken out of names of statistics: "cluster.a.upstream_rq_total" is "cluster.upstream_rq_total" with
 * envoy.cluster_name "a". Rules are those that Envoy has by default, and the bootstrap's stats_config.stats_tags.
 */
import type { StatsConfig, TagSpecifier } from "@meltemi/protos/envoy/config/metrics/v3";
import { ConfigError, compileAll } from "./config-error.ts";
import { wrappedBool } from "./wrapped.ts";

export interface TaggedName {
  /** The name without what became tags. */
  readonly name: string;
  readonly tags: readonly (readonly [name: string, value: string])[];
}

interface TagRule {
  readonly tag: string;
  /** The first group is taken out of the name, the second (or the first where there is one only) is the value. */
  readonly regex: RegExp;
  /** Names without this text do not match: cheaper to look for. */
  readonly part: string;
  /** A value that is none. */
  readonly except?: string;
}

const address = String.raw`(?:(?:\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[[a-fA-F_\d]+\])_\d+)`;
const ofListenerOrCluster = String.raw`^(?:listener|cluster)\..*?\.ssl\.`;
const token = "[^.]+";

/** [tag, pattern, text that must be there]. Tags of one name come in this order, which is Envoy's. */
const patternRules: readonly (readonly [tag: string, pattern: string, part: string, except?: string])[] = [
  ["response_code", String.raw`_rq(_(\d{3}))$`, "_rq_"],
  ["response_code_class", String.raw`_rq_((\d))xx$`, "_rq_"],
  ["ssl_cipher", String.raw`^listener\..*?\.ssl\.ciphers(\.([\w-]+))$`, ".ssl.ciphers."],
  ["ssl_curve", String.raw`${ofListenerOrCluster}curves(\.([\w-]+))$`, ".ssl.curves."],
  ["ssl_sigalg", String.raw`${ofListenerOrCluster}sigalgs(\.([\w-]+))$`, ".ssl.sigalgs."],
  ["ssl_version", String.raw`${ofListenerOrCluster}versions(\.(TLSv\d\.\d))$`, ".ssl.versions."],
  ["ssl_cipher_suite", String.raw`^cluster\.${token}\.ssl\.ciphers(\.([\w-]+))$`, ".ssl.ciphers."],
  ["tls_certificate", String.raw`${ofListenerOrCluster}certificate\.((${token})\.).*$`, ".ssl.certificate."],
  ["http_conn_manager_prefix", String.raw`^listener\..*?\.http\.((${token})\.)`, ".http."],
  ["listener_address", String.raw`^listener\.((${address}|${token})\.)`, "listener.", "admin"],
  ["rds_route_config", String.raw`^http\.${token}\.rds\.(([\w.-]+)\.)\w+?$`, ".rds."],
  [
    "worker_id",
    String.raw`^(?:listener\.(?:${address}|${token})|server|listener_manager|thread_local_cluster_manager)\.worker_((\d+)\.)`,
    "worker_",
  ],
  ["proxy_protocol_version", String.raw`^proxy_proto\.((?:${token}\.)?versions\.v(\d)\.)\w+$`, "proxy_proto."],
  ["proxy_protocol_prefix", String.raw`^proxy_proto\.((?!versions\.)(${token})\.).+$`, "proxy_proto."],
  [
    "rbac_policy_name",
    String.raw`^http\.${token}\.rbac\.(?:${token}\.)?policy\.((${token})\.)(?:shadow_)?(?:allowed|denied)$`,
    ".policy.",
  ],
  ["rbac_http_prefix", String.raw`^http\.${token}\.rbac\.((?!policy\.)(${token})\.)`, ".rbac."],
  ["xds_resource_name", String.raw`^sds\.((${token})\.).+`, "sds."],
  ["health_check_name", String.raw`^cluster\.${token}\.health_check(\.name\.(${token}))\..+`, ".health_check."],
];

/** [tag, tokens of the name]: "$" is the value, "*" is one token, "**" is any number of them. */
const tokenRules: readonly (readonly [tag: string, tokens: string])[] = [
  ["mongo_callsite", "mongo.*.collection.*.callsite.$.query.**"],
  ["mongo_collection", "mongo.*.collection.$.**.query.*"],
  ["mongo_cmd", "mongo.*.cmd.$.**"],
  ["grpc_bridge_method", "cluster.*.grpc.*.$.**"],
  ["http_user_agent", "http.*.user_agent.$.**"],
  ["virtual_cluster", "vhost.*.vcluster.$.**"],
  ["fault_downstream_cluster", "http.*.fault.$.**"],
  ["grpc_bridge_service", "cluster.*.grpc.$.**"],
  ["tcp_prefix", "tcp.$.**"],
  ["udp_prefix", "udp.$.**"],
  ["clientssl_prefix", "auth.clientssl.$.**"],
  ["ratelimit_prefix", "ratelimit.$.**"],
  ["cluster_name", "cluster.$.**"],
  ["ext_authz_prefix", "cluster.*.ext_authz.$.**"],
  ["ext_authz_prefix", "http.*.ext_authz.$.**"],
  ["http_conn_manager_prefix", "http.$.**"],
  ["virtual_host", "vhost.$.**"],
  ["mongo_prefix", "mongo.$.**"],
  ["route", "vhost.*.route.$.**"],
  ["thrift_prefix", "thrift.$.**"],
  ["redis_prefix", "redis.$.**"],
  ["local_http_ratelimit_prefix", "$.http_local_rate_limit.**"],
  ["local_network_ratelimit_prefix", "local_rate_limit.$.**"],
  ["local_listener_ratelimit_prefix", "listener_local_ratelimit.$.**"],
  ["dns_filter_prefix", "dns_filter.$.**"],
  ["connection_limit_prefix", "connection_limit.$.**"],
  ["rbac_prefix", "$.rbac.**"],
];

/** Compiles the rules. Throws ConfigError. The result is asked once for each name. */
export function compileTagRules(config: StatsConfig): (name: string) => TaggedName {
  const defaults = buildDefaultRules();
  const fixed: (readonly [string, string])[] = [];
  const rules: TagRule[] = [];
  compileAll("stats_tags", config.stats_tags, (specifier) => {
    if (specifier.fixed_value !== undefined) fixed.push([specifier.tag_name ?? "", specifier.fixed_value]);
    else rules.push(...compileSpecifier(specifier, defaults));
  });
  if (wrappedBool(config.use_all_default_tags, true)) rules.push(...defaults);
  return (name) => extractTags(name, { rules, fixed });
}

function compileSpecifier(
  { tag_name: tag = "", regex = "" }: TagSpecifier,
  defaults: readonly TagRule[],
): readonly TagRule[] {
  if (regex === "") {
    const known = defaults.filter((rule) => rule.tag === tag);
    if (known.length === 0) throw new ConfigError("regex", `is required: there is no default for tag "${tag}"`);
    return known;
  }
  try {
    return [{ tag, regex: new RegExp(translateClasses(regex), "d"), part: "" }];
  } catch (cause: unknown) {
    throw new ConfigError("regex", `is no regular expression: ${String(cause)}`);
  }
}

const characterClasses: Readonly<Record<string, string>> = {
  digit: "\\d",
  alpha: "a-zA-Z",
  alnum: "a-zA-Z0-9",
  space: "\\s",
  upper: "A-Z",
  lower: "a-z",
  xdigit: "a-fA-F0-9",
};

/** POSIX classes within brackets, which Istio's bootstrap uses and JavaScript has not. */
function translateClasses(regex: string): string {
  return regex.replace(/\[:(\w+):\]/g, (whole, name: string) => characterClasses[name] ?? whole);
}

function buildDefaultRules(): readonly TagRule[] {
  return [
    ...patternRules.map(([tag, pattern, part, except]) => ({
      tag: `envoy.${tag}`,
      regex: new RegExp(pattern, "d"),
      part,
      ...(except === undefined ? {} : { except }),
    })),
    ...tokenRules.map(([tag, tokens]) => ({
      tag: `envoy.${tag}`,
      regex: compileTokens(tokens),
      part: findFixedPart(tokens),
    })),
  ];
}

function compileTokens(tokens: string): RegExp {
  const pattern = tokens
    .split(".")
    .map((part, index, all) => {
      const isLast = index === all.length - 1;
      if (part === "$") return isLast ? `(\\.(${token}))` : `((${token})\\.)`;
      if (part === "**") return isLast ? ".+" : "(?:.+\\.)?";
      return (part === "*" ? token : part) + (isLast ? "" : "\\.");
    })
    .join("");
  return new RegExp(`^${pattern}$`, "d");
}

function findFixedPart(tokens: string): string {
  return tokens.split(".").find((part) => /^\w+$/.test(part)) ?? "";
}

interface CompiledTags {
  readonly rules: readonly TagRule[];
  readonly fixed: readonly (readonly [string, string])[];
}

/** Every rule sees the whole name; what rules take out is taken out together at the end. */
function extractTags(name: string, { rules, fixed }: CompiledTags): TaggedName {
  const tags: (readonly [string, string])[] = [];
  const cuts: (readonly [from: number, to: number])[] = [];
  for (const { tag, regex, part, except } of rules) {
    if (part !== "" && !name.includes(part)) continue;
    if (tags.some(([known]) => known === tag)) continue;
    const match = regex.exec(name);
    const removed = match?.[1];
    if (match === null || removed === undefined) continue;
    const value = match[2] ?? removed;
    if (value === except) continue;
    tags.push([tag, value]);
    const place = match.indices?.[1];
    if (place !== undefined) cuts.push(place);
  }
  return { name: cutOut(name, cuts), tags: [...tags, ...fixed] };
}

function cutOut(name: string, cuts: readonly (readonly [from: number, to: number])[]): string {
  if (cuts.length === 0) return name;
  let rest = "";
  for (let index = 0; index < name.length; index++) {
    if (!cuts.some(([from, to]) => index >= from && index < to)) rest += name[index];
  }
  return rest;
}
