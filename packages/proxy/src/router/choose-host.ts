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

/**
 * What is told for one attempt. A class, since `hash` is worked out when it is read: an accessor in an object literal is a
 * new shape for each request, by which V8 kept all that its closure reaches until the next full collection (a quarter of
 * all processor time for small requests).
 */
class AttemptContext implements LoadBalancerContext {
  readonly metadataMatch: LoadBalancerContext["metadataMatch"];
  readonly downstream: Exchange["connection"];
  readonly headers: Exchange["request"]["headers"];
  readonly authority: string;
  readonly override: LoadBalancerContext["override"];
  readonly avoid: ReadonlySet<Host> | undefined;
  readonly maxReselections: number | undefined;
  readonly triedPriorities: readonly number[] | undefined;
  readonly #hash: LazyHash;

  constructor(exchange: Exchange, { cluster, rules, hash, retry }: ChoiceOptions) {
    const { request, connection, info } = exchange;
    const isRetry = retry !== undefined && retry.tried.length > 0;
    this.#hash = hash;
    this.metadataMatch = rules.metadataMatch;
    this.downstream = connection;
    this.headers = request.headers;
    this.authority = request.authority;
    // A host that failed is not insisted on: the session goes on elsewhere.
    this.override = isRetry || info.filterState.size === 0 ? undefined : readOverride(exchange);
    this.avoid = isRetry ? hostsToAvoid(retry, cluster) : undefined;
    this.maxReselections = retry?.policy.maxReselections;
    this.triedPriorities = isRetry ? triedPriorities(retry) : undefined;
  }

  get hash(): bigint | undefined {
    return this.#hash.hash;
  }
}

export function createContext(exchange: Exchange, options: ChoiceOptions): LoadBalancerContext {
  return new AttemptContext(exchange, options);
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
