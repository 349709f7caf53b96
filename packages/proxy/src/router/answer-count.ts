/** Counts what became of one request: by code and time, for its cluster, virtual cluster, zones and canaries. */
import type { Exchange } from "../http/exchange.ts";
import type { HeaderList } from "../http/header-list.ts";
import type { Host } from "../upstream/types.ts";
import type { AnswerKind } from "./cluster-counters.ts";
import type { CompiledRoute } from "./compiled-route.ts";
import type { ClusterFacts, RouterEnv } from "./router-env.ts";
import type { VirtualCluster } from "./virtual-clusters.ts";

export class AnswerCount {
  readonly #env: RouterEnv;
  readonly #facts: ClusterFacts;
  readonly #virtualCluster: VirtualCluster | undefined;
  readonly #isCounted: boolean;
  readonly #isInternal: boolean;
  #alternativeName: string | undefined;
  #kind: AnswerKind | undefined;

  constructor(env: RouterEnv, facts: ClusterFacts, { request, info }: Exchange, route: CompiledRoute) {
    this.#env = env;
    this.#facts = facts;
    this.#virtualCluster = route.rules.host.findVirtualCluster?.(request);
    if (this.#virtualCluster !== undefined) info.virtualCluster = this.#virtualCluster.name;
    this.#isCounted = env.countsAnswers && !info.isHealthCheck;
    this.#isInternal = this.#isCounted && request.headers.get("x-envoy-internal") === "true";
  }

  /** Takes the client's own name for the statistics of this request. */
  readAlternativeName(headers: HeaderList): void {
    this.#alternativeName = headers.get("x-envoy-upstream-alt-stat-name");
    if (this.#alternativeName !== undefined) headers.remove("x-envoy-upstream-alt-stat-name");
  }

  /** An answer: the upstream's, or one of the proxy's own in its place. */
  answer(status: number, host: Host | undefined, headers: HeaderList | undefined): void {
    if (!this.#isCounted) return;
    this.#kind = {
      isInternal: this.#isInternal,
      isCanary: headers?.get("x-envoy-upstream-canary") === "true" || isCanary(host),
      zones: this.#zones(host),
    };
    const { counters } = this.#facts;
    counters.countCode(status, this.#kind);
    if (this.#virtualCluster !== undefined) this.#env.countersOf(this.#virtualCluster).count(status);
    if (this.#alternativeName !== undefined) counters.countAlternative(this.#alternativeName, status);
  }

  /** The upstream's answer is over. */
  time(ms: number): void {
    if (this.#kind === undefined) return;
    this.#facts.counters.countTime(ms, this.#kind);
    if (this.#virtualCluster !== undefined) this.#env.countersOf(this.#virtualCluster).time.record(ms);
  }

  timeout(): void {
    this.#virtualCluster?.stats.counter("upstream_rq_timeout").inc();
  }

  #zones(host: Host | undefined): string {
    const { zone } = this.#env;
    return zone === "" || host === undefined || host.locality.zone === "" ? "" : `${zone}.${host.locality.zone}`;
  }
}

function isCanary(host: Host | undefined): boolean {
  const metadata = host?.metadata["envoy.lb"];
  return typeof metadata === "object" && metadata !== null && "canary" in metadata && metadata.canary === true;
}
