/**
 * Balancing by lists: the priority is drawn, then a locality where localities are weighted or zone-aware, then a policy
 * picks from the list of hosts that remains (Envoy: round robin, least request, random).
 */
import type { ClusterHost } from "../hosts/cluster-host.ts";
import type { HostSet } from "../hosts/host-set.ts";
import {
  type Balancer,
  type BalancerContext,
  type BalancerEnv,
  type CreateBalancer,
  type HostSource,
  isAvoided,
} from "./balancer.ts";
import { EdfScheduler } from "./edf-scheduler.ts";
import type { LocalityConfig } from "./locality-config.ts";
import { chooseLocality, type LocalityRouting, planLocalityRouting } from "./locality-routing.ts";
import type { CreatePicker, HostPicker } from "./pickers.ts";
import { computeLoads, computeLoadsWithout, isInPanic, type PriorityLoads, pickPriority } from "./priority-loads.ts";

export interface ZoneBalancerOptions {
  readonly createPicker: CreatePicker;
  readonly locality: LocalityConfig;
  /** Percent, as it is now. */
  readonly panicThreshold: (env: BalancerEnv) => number;
}

export function zoneBalancer(options: ZoneBalancerOptions): CreateBalancer {
  return (source, env) => new ZoneBalancer(options, source, env);
}

interface PriorityState {
  readonly set: HostSet;
  readonly healthyLocalities: EdfScheduler<number> | undefined;
  readonly degradedLocalities: EdfScheduler<number> | undefined;
  readonly routing: LocalityRouting;
}

type HostKind = "hosts" | "healthy" | "degraded";

const kindNumbers: Readonly<Record<HostKind, number>> = { hosts: 0, healthy: 1, degraded: 2 };
/** More localities than a priority can have. */
const localityLimit = 1 << 20;

class ZoneBalancer implements Balancer {
  readonly #options: ZoneBalancerOptions;
  readonly #source: HostSource;
  readonly #env: BalancerEnv;
  #sets: readonly HostSet[] | undefined;
  #localHosts: HostSet | undefined;
  #loads: PriorityLoads = { healthy: [], degraded: [], isPanicking: [] };
  #states: readonly PriorityState[] = [];
  /** By priority, kind and locality: round robin goes on where it was when hosts change. */
  readonly #pickers = new Map<number, HostPicker>();

  constructor(options: ZoneBalancerOptions, source: HostSource, env: BalancerEnv) {
    this.#options = options;
    this.#source = source;
    this.#env = env;
  }

  choose(context: BalancerContext): ClusterHost | undefined {
    const sets = this.#source();
    const localHosts = this.#env.localHosts();
    if (sets !== this.#sets || localHosts !== this.#localHosts) this.#refresh(sets, localHosts);
    let host = this.#chooseOnce(context);
    for (let tries = context.maxReselections ?? 0; tries > 0; tries -= 1) {
      if (host === undefined || !isAvoided(host, context)) return host;
      host = this.#chooseOnce(context);
    }
    return host;
  }

  #refresh(sets: readonly HostSet[], localHosts: HostSet | undefined): void {
    this.#sets = sets;
    this.#localHosts = localHosts;
    this.#loads = computeLoads(sets, this.#options.panicThreshold(this.#env));
    this.#states = sets.map((set) => this.#buildState(set, localHosts));
  }

  #buildState(set: HostSet, localHosts: HostSet | undefined): PriorityState {
    const { locality } = this.#options;
    const isWeighted = locality.kind === "weighted";
    const { random } = this.#env;
    const schedule = (kind: "healthy" | "degraded"): EdfScheduler<number> | undefined =>
      isWeighted ? scheduleLocalities(set, kind, random()) : undefined;
    return {
      set,
      healthyLocalities: schedule("healthy"),
      degradedLocalities: schedule("degraded"),
      routing:
        locality.kind === "zone-aware" && localHosts !== undefined && set.priority === 0
          ? planLocalityRouting(set, localHosts, { minClusterSize: locality.minClusterSize(this.#env), env: this.#env })
          : { kind: "none" },
    };
  }

  #chooseOnce(context: BalancerContext): ClusterHost | undefined {
    const { priority, isDegraded } = context.forced ?? pickPriority(this.#loadsFor(context), this.#env.random() * 100);
    const state = this.#states[priority];
    if (state === undefined) return undefined;
    const { locality } = this.#options;
    if (this.#loads.isPanicking[priority]) {
      this.#env.lbStats.lb_healthy_panic.inc();
      if (locality.kind === "zone-aware" && locality.failsOnPanic) return undefined;
      return this.#pick(state, "hosts", -1);
    }
    const kind = isDegraded ? "degraded" : "healthy";
    const weighted = isDegraded ? state.degradedLocalities?.next() : state.healthyLocalities?.next();
    if (weighted !== undefined) return this.#pick(state, kind, weighted);
    if (state.routing.kind === "none" || locality.kind !== "zone-aware") return this.#pick(state, kind, -1);
    return this.#pickByZone(state, state.routing, kind);
  }

  #pickByZone(
    state: PriorityState,
    routing: Exclude<LocalityRouting, { kind: "none" }>,
    kind: HostKind,
  ): ClusterHost | undefined {
    const env = this.#env;
    const { locality, panicThreshold } = this.#options;
    if (locality.kind !== "zone-aware" || !locality.isChosen(env)) return this.#pick(state, kind, -1);
    // The proxies themselves are in panic: what is known of them says nothing about how they are spread.
    if (this.#localHosts !== undefined && isInPanic(this.#localHosts, panicThreshold(env))) {
      env.lbStats.lb_local_cluster_not_ok.inc();
      return locality.failsOnPanic ? undefined : this.#pick(state, kind, -1);
    }
    return this.#pick(state, kind, chooseLocality(routing, env));
  }

  #pick({ set }: PriorityState, kind: HostKind, place: number): ClusterHost | undefined {
    const group = place < 0 ? set : set.localities[place];
    const hosts = group?.[kind];
    if (hosts === undefined || hosts.length === 0) return undefined;
    const key = (set.priority * 3 + kindNumbers[kind]) * localityLimit + place + 1;
    let picker = this.#pickers.get(key);
    if (picker === undefined) {
      picker = this.#options.createPicker(this.#env);
      this.#pickers.set(key, picker);
    }
    return picker.pick(hosts);
  }

  #loadsFor({ triedPriorities }: BalancerContext): Pick<PriorityLoads, "healthy" | "degraded"> {
    if (triedPriorities === undefined || triedPriorities.length === 0) return this.#loads;
    return computeLoadsWithout(this.#sets ?? [], triedPriorities) ?? this.#loads;
  }
}

/** Localities in turn by weight, where each counts as far as its hosts are well. Undefined where none has any weight. */
function scheduleLocalities(
  set: HostSet,
  kind: "healthy" | "degraded",
  phase: number,
): EdfScheduler<number> | undefined {
  const weights = set.localities.map((locality) => {
    const all = locality.hosts.length - locality.excluded;
    if (all === 0) return 0;
    const part = (locality[kind].length / all) * (set.overprovisioningFactor / 100);
    return (locality.weight ?? 0) * Math.min(1, part);
  });
  const places = weights.flatMap((weight, place) => (weight > 0 ? [place] : []));
  if (places.length === 0) return undefined;
  return new EdfScheduler(places, (place) => weights[place] ?? 1, phase);
}
