/** What a route does with a request that it forwards. Rules: Istio route.go applyHTTPRouteDestination. */
import { bool, u32 } from "@meltemi/protos";
import type {
  RouteAction,
  RouteAction_RequestMirrorPolicy,
  WeightedCluster_ClusterWeight,
} from "@meltemi/protos/envoy/config/route/v3";
import type { FractionalPercent } from "@meltemi/protos/envoy/type/v3";
import type { ConsistentHash } from "../../api/destination-rule/schema.ts";
import type { HttpRoute, HttpRouteDestination } from "../../api/virtual-service/schema.ts";
import { toDuration } from "../durations.ts";
import { listHashPolicies } from "./hash-policy.ts";
import { buildHeaderFields, findHostOverride, type HeaderFields } from "./header-operations.ts";
import { buildPercentage, buildWholePercentage } from "./percentage.ts";
import { buildRetryPolicy } from "./retry-policy.ts";
import type { RouteFacts } from "./route-facts.ts";
import type { RouteSemantics } from "./route-semantics.ts";

/** The clusters that a rule's destinations turned out to mean, in the order of the rule. */
export interface ResolvedRule {
  readonly destinations: readonly { readonly cluster: string; readonly hash: ConsistentHash | undefined }[];
  readonly mirrors: readonly string[];
  /** How services of the destinations keep sessions: see combineSessions. */
  readonly session: string | undefined;
}

export interface ActionContext {
  readonly facts: RouteFacts;
  readonly semantics: RouteSemantics;
  /** Prefix that the route matches by whole segments, for rewrites that take it away. */
  readonly segmentPrefix: string | undefined;
}

export interface ForwardingAction {
  readonly action: RouteAction;
  /** Header changes of the only destination: Envoy takes them at the route. */
  readonly headers: HeaderFields;
}

/** The action of a rule that forwards. */
export function buildForwardingAction(
  rule: HttpRoute,
  resolved: ResolvedRule,
  context: ActionContext,
): ForwardingAction {
  const { facts, semantics } = context;
  const forwarding = (rule.route ?? []).map((destination, index) => ({ destination, ...resolved.destinations[index] }));
  const only = forwarding.length === 1 ? forwarding[0] : undefined;
  const weighted = forwarding.filter(({ destination }) => only === undefined && (destination.weight ?? 0) > 0);
  const host = rule.rewrite?.authority || findHostOverride(rule.headers) || findHostOverride(only?.destination.headers);
  const hashPolicies = (only === undefined ? weighted : [only]).flatMap(({ hash }) => listHashPolicies(hash));
  const mirrors = listMirrors(rule, resolved.mirrors);
  const retryPolicy = buildRetryPolicy(rule.retries ?? facts.defaultRetries, {
    capabilities: facts.capabilities,
    hasConsistentHash: only?.hash !== undefined,
  });
  const action: RouteAction = {
    ...buildClusters(only?.cluster, weighted),
    ...buildTimeouts(rule.timeout),
    ...(retryPolicy === undefined ? {} : { retry_policy: retryPolicy }),
    ...buildPathRewrite(rule, context),
    ...(host ? { host_rewrite_literal: host } : {}),
    // Only for rewrites, and for those of the path too; Envoy looks at it where it changes the host.
    ...(rule.rewrite !== undefined && facts.appendsForwardedHost ? { append_x_forwarded_host: true } : {}),
    ...(mirrors.length === 0 ? {} : { request_mirror_policies: mirrors }),
    ...(hashPolicies.length === 0 ? {} : { hash_policy: hashPolicies }),
    // The Gateway API wants 500 for backends that do not exist.
    ...(semantics === "gateway" ? { cluster_not_found_response_code: "INTERNAL_SERVER_ERROR" } : {}),
  };
  return { action, headers: buildHeaderFields(only?.destination.headers) };
}

/** Timeouts of a route; 0 turns off Envoy's own default of 15 s, also for what gRPC clients ask for. */
export function buildTimeouts(timeout: string | undefined): Pick<RouteAction, "timeout" | "max_grpc_timeout"> {
  const value = toDuration(timeout ?? "0");
  return { timeout: value, max_grpc_timeout: value };
}

type WeightedDestination = { readonly destination: HttpRouteDestination; readonly cluster?: string };

function buildClusters(only: string | undefined, weighted: readonly WeightedDestination[]): RouteAction {
  if (only !== undefined) return { cluster: only };
  // Envoy refuses an empty list; no destination with a weight is a cluster that nobody has.
  if (weighted.length === 0) return { cluster: "UnknownService" };
  return { weighted_clusters: { clusters: weighted.map(buildClusterWeight) } };
}

function buildClusterWeight({ destination, cluster }: WeightedDestination): WeightedCluster_ClusterWeight {
  const host = findHostOverride(destination.headers);
  return {
    name: cluster ?? "",
    weight: u32(destination.weight ?? 0),
    ...buildHeaderFields(destination.headers),
    ...(host === undefined ? {} : { host_rewrite_literal: host }),
  };
}

function buildPathRewrite(rule: HttpRoute, context: ActionContext): RouteAction {
  const { uriRegexRewrite, uri } = rule.rewrite ?? {};
  if (uriRegexRewrite !== undefined) {
    const { match = "", rewrite = "" } = uriRegexRewrite;
    return { regex_rewrite: { pattern: { regex: match }, ...(rewrite === "" ? {} : { substitution: rewrite }) } };
  }
  if (!uri) return {};
  if (context.semantics !== "gateway" || uri !== "/") return { prefix_rewrite: uri };
  // Takes the prefix away. Plain replacement by "/" would leave "//rest".
  const regex = `^${quoteRegex(context.segmentPrefix ?? "")}(/?)(.*)`;
  return { regex_rewrite: { pattern: { regex }, substitution: "/\\2" } };
}

function listMirrors(rule: HttpRoute, clusters: readonly string[]): readonly RouteAction_RequestMirrorPolicy[] {
  return listMirrorShares(rule).flatMap((share, index) => {
    const cluster = clusters[index];
    if (cluster === undefined || share === undefined) return [];
    return [
      {
        cluster,
        runtime_fraction: { default_value: share },
        trace_sampled: bool(false),
        disable_shadow_host_suffix_append: true,
      },
    ];
  });
}

/** Share of requests for each mirror of a rule, in the order of its mirrors; undefined where it is stated as 0. */
function listMirrorShares(rule: HttpRoute): readonly (FractionalPercent | undefined)[] {
  const own: (FractionalPercent | undefined)[] = [];
  if (rule.mirror !== undefined) {
    const whole = rule.mirrorPercent ?? 100;
    const isWhole = rule.mirrorPercentage === undefined && whole > 0;
    own.push(isWhole ? buildWholePercentage(whole) : findMirrorShare(rule.mirrorPercentage));
  }
  const others = (rule.mirrors ?? []).map(({ percentage }) => {
    return percentage === undefined ? buildWholePercentage(100) : findMirrorShare(percentage);
  });
  return [...own, ...others];
}

function findMirrorShare(percentage: HttpRoute["mirrorPercentage"]): FractionalPercent | undefined {
  return percentage !== undefined && (percentage.value ?? 0) > 0 ? buildPercentage(percentage) : undefined;
}

function quoteRegex(text: string): string {
  return text.replace(/[\\.+*?()|[\]{}^$]/g, "\\$&");
}
