/**
 * Make before break on the way in: a listener or route that leads to a new cluster is held back until the client can use
 * that cluster, because a route to a cluster that is still warming, or was refused, answers 503 where the last one worked
 * (xds_protocol, "eventual consistency considerations"; Envoy asks for endpoints only after it took the cluster).
 */
import type { Clock, Timer } from "../lib/clock.ts";
import { findInSet, type ResourceSet } from "../push/resource-set.ts";
import { basisOf, type Delivery } from "./delivery.ts";
import { type ClusterProgress, listNewNames, listUnready, type UnreadyClusters, withhold } from "./holding.ts";

export interface ClusterGateInputs {
  readonly clock: Clock;
  /** Milliseconds that anything is held back at most, but for what leads to refused clusters. */
  readonly warmingMs: number;
  /** Called when something waited for so long. */
  readonly onImpatience: () => void;
}

/** Listeners or routes on their way to a client. */
export interface HeldType {
  readonly type: "lds" | "rds";
  readonly delivery: Delivery;
  readonly target: ResourceSet;
}

/** What was to be sent when something was first held back, and the clusters of that time. */
interface Waiting {
  readonly goal: ResourceSet;
  readonly clusters: ResourceSet;
  readonly timer: Timer;
}

const nothingUnready: UnreadyClusters = { refused: [], awaited: [] };

/** What one stream's listeners and routes wait for. */
export class ClusterGate {
  readonly #inputs: ClusterGateInputs;
  /** Clusters that need no waiting: as of when the client could use all that it was to have. */
  #settled: ResourceSet | undefined;
  readonly #waiting = new Map<HeldType["type"], Waiting>();

  constructor(inputs: ClusterGateInputs) {
    this.#inputs = inputs;
  }

  /** What of `held.target` may be sent now; the same set where all of it may. */
  admit(held: HeldType, progress: ClusterProgress): ResourceSet {
    const { type, delivery, target } = held;
    if (delivery.kind === "none") {
      // Who begins asks for listeners when its clusters are ready.
      this.#settled ??= progress.target;
      return target;
    }
    const earlier = this.#findAdmitted(held, progress);
    if (earlier !== undefined) return earlier;
    const { refused, awaited } = this.#listUnready(progress.target, progress);
    if (refused.length + awaited.length === 0) {
      this.#settled = progress.target;
      this.#forget(type);
      return target;
    }
    // A client that asks for routes waits for them together with the listener that names them.
    const admitted = withhold({ held: basisOf(delivery), target, mayOmit: type === "lds" }, [...refused, ...awaited]);
    if (admitted === target) this.#forget(type);
    else if (awaited.length > 0) this.#wait(held, progress.target);
    return admitted;
  }

  close(): void {
    for (const type of [...this.#waiting.keys()]) this.#forget(type);
  }

  // What was held back first goes first, so that a mesh that changes faster than clusters warm is followed all the same.
  #findAdmitted({ type, delivery, target }: HeldType, progress: ClusterProgress): ResourceSet | undefined {
    const waiting = this.#waiting.get(type);
    if (waiting === undefined) return undefined;
    const { refused, awaited } = this.#listUnready(waiting.clusters, progress);
    const mayCome = awaited.every((name) => {
      return (
        findInSet(progress.target, name) !== undefined || findInSet(basisOf(progress.clusters), name) !== undefined
      );
    });
    const isSent = basisOf(delivery).version === waiting.goal.version;
    if (isSent || refused.length > 0 || !mayCome || target.version === waiting.goal.version) {
      if (target.version !== waiting.goal.version) this.#forget(type);
      return undefined;
    }
    return awaited.length === 0 ? waiting.goal : undefined;
  }

  #listUnready(target: ResourceSet, progress: ClusterProgress): UnreadyClusters {
    if (this.#settled === undefined) return nothingUnready;
    const names = listNewNames(this.#settled, target);
    return names.length === 0 ? nothingUnready : listUnready(names, { ...progress, target });
  }

  #wait({ type, target }: HeldType, clusters: ResourceSet): void {
    if (this.#waiting.has(type)) return;
    const { clock, warmingMs, onImpatience } = this.#inputs;
    const timer = clock.after(warmingMs, () => {
      this.#settled = clusters;
      this.#forget(type);
      onImpatience();
    });
    this.#waiting.set(type, { goal: target, clusters, timer });
  }

  #forget(type: HeldType["type"]): void {
    this.#waiting.get(type)?.timer.close();
    this.#waiting.delete(type);
  }
}
