/** EDS: the control plane sends the hosts. */

import { durationToMs } from "@meltemi/protos";
import type { ClusterLoadAssignment } from "@meltemi/protos/envoy/config/endpoint/v3";
import type { Timer } from "../../lib/clock.ts";
import { type AssignmentPlan, compileAssignment, emptyAssignment } from "../hosts/endpoint-plan.ts";
import type { CompileDiscovery, Discovery, DiscoveryParts } from "./discovery.ts";

const defaultFetchTimeoutMs = 15_000;

export const compileEds: CompileDiscovery = ({ name = "", eds_cluster_config: eds }) => {
  const serviceName = eds?.service_name || name;
  const timeoutMs = durationToMs(eds?.eds_config?.initial_fetch_timeout) ?? defaultFetchTimeoutMs;
  return (parts) => new EdsDiscovery(serviceName, timeoutMs, parts);
};

class EdsDiscovery implements Discovery {
  readonly serviceName: string;
  readonly ready: Promise<void>;
  readonly #parts: DiscoveryParts;
  readonly #settle: () => void;
  readonly #fetchTimer: Timer | undefined;
  #staleTimer: Timer | undefined;
  #plan: AssignmentPlan = emptyAssignment;

  constructor(serviceName: string, timeoutMs: number, parts: DiscoveryParts) {
    this.serviceName = serviceName;
    this.#parts = parts;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ready = promise;
    this.#settle = resolve;
    parts.stats.counter("update_attempt").inc();
    // 0 means to wait for ever.
    if (timeoutMs > 0) {
      this.#fetchTimer = parts.clock.after(timeoutMs, () => {
        parts.stats.counter("init_fetch_timeout").inc();
        resolve();
      });
    }
  }

  get dropOverloads(): AssignmentPlan["dropOverloads"] {
    return this.#plan.dropOverloads;
  }

  setEndpoints(assignment: ClusterLoadAssignment | undefined): void {
    const { stats, members } = this.#parts;
    let plan: AssignmentPlan;
    try {
      plan = assignment === undefined ? emptyAssignment : compileAssignment(assignment, "refused");
    } catch (cause: unknown) {
      stats.counter("update_rejected").inc();
      throw cause;
    }
    stats.counter("update_success").inc();
    if (assignment === undefined) stats.counter("update_empty").inc();
    const change = members.update(plan);
    if (change.added.length + change.removed.length === 0) stats.counter("update_no_rebuild").inc();
    this.#plan = plan;
    this.#watchAge(plan.staleAfterMs);
    this.#fetchTimer?.close();
    this.#settle();
  }

  close(): void {
    this.#fetchTimer?.close();
    this.#staleTimer?.close();
    this.#settle();
  }

  /** Endpoints that are not confirmed in time are forgotten. */
  #watchAge(staleAfterMs: number | undefined): void {
    const { stats, clock, members } = this.#parts;
    this.#staleTimer?.close();
    this.#staleTimer = undefined;
    if (staleAfterMs === undefined || staleAfterMs <= 0) return;
    stats.counter("assignment_timeout_received").inc();
    this.#staleTimer = clock.after(staleAfterMs, () => {
      stats.counter("assignment_stale").inc();
      this.#plan = emptyAssignment;
      members.update(emptyAssignment);
    });
  }
}
