/** What the balancer of a cluster is told of a request and of its attempts before. */
import type { Exchange } from "../http/exchange.ts";
import type { Host, LoadBalancerContext, UpstreamCluster } from "../upstream/types.ts";
import type { ForwardRules } from "./forward-rules.ts";
import type { HashPolicy, RequestHash } from "./hash-policy.ts";
import type { RetryPolicy } from "./retry-policy.ts";

export interface RetryChoice {
  readonly policy: RetryPolicy;
  /** Hosts of the attempts so far. */
  readonly tried: Host[];
}

/** Set by filters that keep sessions: value is { address, isStrict }. */
export const overrideHostKey = "envoy.override_host";

export interface ChoiceOptions {
  readonly cluster: UpstreamCluster;
  readonly rules: ForwardRules;
  readonly hash: LazyHash;
  readonly retry: RetryChoice | undefined;
}

/** The hash of a request, worked out when a balancer asks for it: most never do, and then no cookie is made either. */
export class LazyHash {
  readonly #exchange: Exchange;
  readonly #policy: HashPolicy | undefined;
  #result: RequestHash | undefined;

  constructor(exchange: Exchange, policy: HashPolicy | undefined) {
    this.#exchange = exchange;
    this.#policy = policy;
  }

  get hash(): bigint | undefined {
    this.#result ??= this.#policy?.(this.#exchange);
    return this.#result?.hash;
  }

  /** Cookies that were made for it. */
  get cookies(): readonly string[] {
    return this.#result?.cookies ?? [];
  }
}

export function createContext(exchange: Exchange, options: ChoiceOptions): LoadBalancerContext {
  const { request, connection, info } = exchange;
  const { cluster, rules, hash, retry } = options;
  const isRetry = retry !== undefined && retry.tried.length > 0;
  return {
    // A member of the object itself, since balancers of aggregate clusters copy what they were given.
    get hash() {
      return hash.hash;
    },
    metadataMatch: rules.metadataMatch,
    downstream: connection,
    headers: request.headers,
    authority: request.authority,
    // A host that failed is not insisted on: the session goes on elsewhere.
    override: isRetry || info.filterState.size === 0 ? undefined : readOverride(exchange),
    avoid: isRetry ? hostsToAvoid(retry, cluster) : undefined,
    maxReselections: retry?.policy.maxReselections,
    triedPriorities: isRetry ? triedPriorities(retry) : undefined,
  };
}

export interface ChoiceEnd {
  readonly chosen: (host: Host) => void;
  readonly failed: (cause: unknown) => void;
}

/** At once for all but clusters that have to look a name up first. */
export function chooseHost(cluster: UpstreamCluster, context: LoadBalancerContext, end: ChoiceEnd): void {
  let host: Host | Promise<Host>;
  try {
    host = cluster.chooseHost(context);
  } catch (cause: unknown) {
    end.failed(cause);
    return;
  }
  if (host instanceof Promise) host.then(end.chosen).catch(end.failed);
  else end.chosen(host);
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
