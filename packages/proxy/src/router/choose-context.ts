/** What the balancer of a cluster is told of a request and of its attempts before. */
import type { Exchange } from "../http/exchange.ts";
import type { Host, LoadBalancerContext, UpstreamCluster } from "../upstream/types.ts";
import type { ForwardRules } from "./forward-rules.ts";
import type { RetryPolicy } from "./retry-policy.ts";

export interface RetryChoice {
  readonly policy: RetryPolicy;
  /** Hosts of the attempts so far. */
  readonly tried: Host[];
}

/** Set by filters that keep sessions: value is { address, isStrict }. */
export const overrideHostKey = "envoy.override_host";

export interface ChooseOptions {
  readonly cluster: UpstreamCluster;
  readonly rules: ForwardRules;
  readonly hash: bigint | undefined;
  readonly retry: RetryChoice | undefined;
}

export function chooseContext(exchange: Exchange, options: ChooseOptions): LoadBalancerContext {
  const { request, connection, info } = exchange;
  const { retry } = options;
  const isRetry = retry !== undefined && retry.tried.length > 0;
  return {
    hash: options.hash,
    metadataMatch: options.rules.metadataMatch,
    downstream: connection,
    headers: request.headers,
    authority: request.authority,
    // A host that failed is not insisted on, as its session is served by another one then.
    override: isRetry || info.filterState.size === 0 ? undefined : readOverride(exchange),
    avoid: isRetry ? hostsToAvoid(retry, options.cluster) : undefined,
    maxReselections: retry?.policy.maxReselections,
    triedPriorities: isRetry ? triedPriorities(retry) : undefined,
  };
}

function readOverride({ info }: Exchange): LoadBalancerContext["override"] {
  const value = info.filterState.get(overrideHostKey)?.value;
  if (typeof value !== "object" || value === null || !("address" in value)) return undefined;
  const { address } = value;
  if (typeof address !== "string") return undefined;
  return { address, isStrict: "isStrict" in value && value.isStrict === true };
}

function hostsToAvoid({ policy, tried }: RetryChoice, cluster: UpstreamCluster): ReadonlySet<Host> | undefined {
  const { avoidsPreviousHosts, omitsHost } = policy;
  if (!avoidsPreviousHosts && omitsHost === undefined) return undefined;
  const omitted = omitsHost === undefined ? [] : cluster.listHosts().filter((host) => omitsHost(host, cluster));
  return new Set([...(avoidsPreviousHosts ? tried : []), ...omitted]);
}

/** Those of all attempts but the ones since the last time at which they were taken into account. */
function triedPriorities({ policy, tried }: RetryChoice): readonly number[] | undefined {
  const { priorityUpdateFrequency: frequency } = policy;
  if (frequency === 0) return undefined;
  return tried.slice(0, Math.floor(tried.length / frequency) * frequency).map(({ priority }) => priority);
}
