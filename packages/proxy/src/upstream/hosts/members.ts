/** Who is in a cluster now: hosts keep their identity by address while assignments come and go. */
import type { Clock } from "../../lib/clock.ts";
import type { StatNames, Stats } from "../../lib/stats.ts";
import type { Host } from "../types.ts";
import { ClusterHost } from "./cluster-host.ts";
import type { AssignmentPlan, EndpointPlan } from "./endpoint-plan.ts";
import { buildHostSet, formatLocality, type HostSet } from "./host-set.ts";

export interface MembersOptions {
  readonly stats: Stats;
  readonly clock: Clock;
  readonly home: Host["locality"];
  /** Active checks are configured: a new host is unhealthy until it passed one. */
  readonly hasChecks: boolean;
  /** Hosts do not count for loads until their first check. */
  readonly ignoresNewHosts: boolean;
  /** Removed hosts go at once, even where they still pass active checks. */
  readonly removesHealthyHosts: boolean;
}

export interface MembershipChange {
  readonly added: readonly ClusterHost[];
  readonly removed: readonly ClusterHost[];
}

interface Group {
  readonly locality: Host["locality"];
  readonly priority: number;
  weight: number;
  readonly hosts: ClusterHost[];
}

/** What a cluster shows from the start. Envoy has the largest weight, and leaves it at 0 since weights are the balancers'. */
export const membershipStatNames: StatNames = { counters: ["membership_change"], gauges: ["max_host_weight"] };

export class Members {
  readonly #options: MembersOptions;
  #hosts = new Map<string, ClusterHost>();
  #groups: readonly Group[] = [];
  #policy: Pick<AssignmentPlan, "overprovisioningFactor" | "isHealthWeighted"> = {
    overprovisioningFactor: 140,
    isHealthWeighted: false,
  };
  #sets: readonly HostSet[];
  readonly #listeners: ((change: MembershipChange) => void)[] = [];

  constructor(options: MembersOptions) {
    this.#options = options;
    this.#sets = this.#buildSets();
    this.#count();
  }

  /** By priority. Another array after each change, and only then. */
  get sets(): readonly HostSet[] {
    return this.#sets;
  }

  list(): readonly ClusterHost[] {
    return [...this.#hosts.values()];
  }

  /** By its address, or by its key where it has one. */
  find(key: string): ClusterHost | undefined {
    return this.#hosts.get(key);
  }

  /** Calls `run` after each change of who is in. */
  onChange(run: (change: MembershipChange) => void): void {
    this.#listeners.push(run);
  }

  /** Takes an assignment in the place of the last one. */
  update(plan: AssignmentPlan): MembershipChange {
    const before = this.#hosts;
    const after = new Map<string, ClusterHost>();
    const added: ClusterHost[] = [];
    const groups = new Map<string, Group>();
    for (const { locality, priority, weight, endpoints } of plan.localities) {
      const group = findGroup(groups, locality, priority);
      group.weight = weight;
      for (const endpoint of endpoints) {
        // Envoy takes the first of several endpoints with one address.
        const key = keyOf(endpoint);
        if (after.has(key)) continue;
        const host = before.get(key) ?? this.#create(endpoint);
        if (!before.has(key)) added.push(host);
        host.adopt(endpoint);
        after.set(key, host);
        group.hosts.push(host);
      }
    }
    const removed = this.#findRemoved(after, groups);
    this.#hosts = after;
    this.#groups = [...groups.values()];
    this.#policy = plan;
    this.#settle({ added, removed });
    return { added, removed };
  }

  /** Health of hosts has changed. */
  refresh(): void {
    this.#sets = this.#buildSets();
    this.#count();
  }

  /** A host that had been kept for passing its checks fails now: it goes. */
  drop(host: ClusterHost): void {
    if (!this.#hosts.delete(keyOf(host.plan))) return;
    for (const group of this.#groups) {
      const place = group.hosts.indexOf(host);
      if (place >= 0) group.hosts.splice(place, 1);
    }
    this.#settle({ added: [], removed: [host] });
  }

  #create(endpoint: EndpointPlan): ClusterHost {
    const created = new ClusterHost(endpoint, this.#options.clock.monotonic());
    if (this.#options.hasChecks && !endpoint.isCheckDisabled) {
      created.set("failed-check", true);
      if (this.#options.ignoresNewHosts) created.set("pending-check", true);
    }
    return created;
  }

  /** Who is no longer named; with active checks, hosts that pass them stay until they fail. */
  #findRemoved(after: Map<string, ClusterHost>, groups: Map<string, Group>): readonly ClusterHost[] {
    const removed: ClusterHost[] = [];
    const keepsHealthy = this.#options.hasChecks && !this.#options.removesHealthyHosts;
    for (const [key, host] of this.#hosts) {
      if (after.has(key)) continue;
      if (!keepsHealthy || host.health === "unhealthy") {
        removed.push(host);
        continue;
      }
      host.isLeaving = true;
      after.set(key, host);
      findGroup(groups, host.locality, host.priority).hosts.push(host);
    }
    return removed;
  }

  #settle(change: MembershipChange): void {
    this.refresh();
    if (change.added.length + change.removed.length === 0) return;
    this.#options.stats.counter("membership_change").inc();
    for (const run of this.#listeners) run(change);
  }

  #buildSets(): readonly HostSet[] {
    const highest = this.#groups.reduce((most, { priority }) => Math.max(most, priority), 0);
    return Array.from({ length: highest + 1 }, (_, priority) =>
      buildHostSet({
        priority,
        localities: this.#groups.filter((group) => group.priority === priority),
        overprovisioningFactor: this.#policy.overprovisioningFactor,
        isHealthWeighted: this.#policy.isHealthWeighted,
        home: this.#options.home,
      }),
    );
  }

  #count(): void {
    const { stats } = this.#options;
    const sum = (count: (set: HostSet) => number): number => this.#sets.reduce((all, set) => all + count(set), 0);
    stats.gauge("membership_total").set(sum((set) => set.hosts.length));
    stats.gauge("membership_healthy").set(sum((set) => set.healthy.length));
    stats.gauge("membership_degraded").set(sum((set) => set.degraded.length));
    stats.gauge("membership_excluded").set(sum((set) => set.excluded));
  }
}

function findGroup(groups: Map<string, Group>, locality: Host["locality"], priority: number): Group {
  const key = `${priority}/${formatLocality(locality)}`;
  const known = groups.get(key);
  if (known !== undefined) return known;
  const group: Group = { locality, priority, weight: 0, hosts: [] };
  groups.set(key, group);
  return group;
}

function keyOf({ key, address }: EndpointPlan): string {
  return key ?? address;
}
