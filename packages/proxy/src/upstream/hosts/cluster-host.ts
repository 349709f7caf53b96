/** A host of one cluster, with all that decides whether and how often it is chosen. */
import type { HealthStatus } from "@meltemi/protos/envoy/config/core/v3";
import type { LbEndpoint } from "@meltemi/protos/envoy/config/endpoint/v3";
import type { Host } from "../types.ts";
import type { EndpointPlan } from "./endpoint-plan.ts";

export type HostFlag = "failed-check" | "degraded-check" | "pending-check" | "outlier" | "immediate-failure";

const bits: Readonly<Record<HostFlag, number>> = {
  "failed-check": 1,
  "degraded-check": 2,
  "pending-check": 4,
  outlier: 8,
  "immediate-failure": 16,
};
const unhealthyBits = bits["failed-check"] | bits.outlier | bits["immediate-failure"];

export class ClusterHost implements Host {
  readonly address: string;
  readonly ip: string;
  readonly port: number;
  hostname: string;
  locality: Host["locality"];
  priority: number;
  weight: number;
  endpoint: LbEndpoint;
  metadata: Readonly<Record<string, unknown>>;
  activeRequests = 0;
  /** Milliseconds of the monotonic clock at which it was added, or passed its first active check after a failure. */
  warmSince: number;
  plan: EndpointPlan;
  /** No longer named by its source, but kept as long as it passes its checks. */
  isLeaving = false;
  #flags = 0;
  #health: Host["health"];

  constructor(plan: EndpointPlan, now: number) {
    this.address = plan.address;
    this.ip = plan.ip;
    this.port = plan.port;
    this.plan = plan;
    this.hostname = plan.hostname;
    this.locality = plan.locality;
    this.priority = plan.priority;
    this.weight = plan.weight;
    this.endpoint = plan.endpoint;
    this.metadata = plan.metadata;
    this.warmSince = now;
    this.#health = this.#judge();
  }

  get health(): Host["health"] {
    return this.#health;
  }

  /** Takes what configuration now says of it. */
  adopt(plan: EndpointPlan): void {
    this.isLeaving = false;
    this.plan = plan;
    this.hostname = plan.hostname;
    this.locality = plan.locality;
    this.priority = plan.priority;
    this.weight = plan.weight;
    this.endpoint = plan.endpoint;
    this.metadata = plan.metadata;
    this.#health = this.#judge();
  }

  has(flag: HostFlag): boolean {
    return (this.#flags & bits[flag]) !== 0;
  }

  /** True where its health or whether it counts changed. */
  set(flag: HostFlag, isOn: boolean): boolean {
    const before = this.#flags;
    this.#flags = isOn ? before | bits[flag] : before & ~bits[flag];
    this.#health = this.#judge();
    return this.#flags !== before;
  }

  /**
   * Not counted for loads and panic: its first check is to come, it said itself that it fails, or discovery drains it.
   * One that is drained leaves on purpose, which must not look as if the cluster were failing.
   */
  get isExcluded(): boolean {
    if (this.plan.status === "DRAINING") return true;
    return (this.#flags & (bits["pending-check"] | bits["immediate-failure"])) !== 0;
  }

  /** The status that override_host_status is compared with. */
  get status(): HealthStatus {
    if ((this.#flags & unhealthyBits) !== 0) return "UNHEALTHY";
    const { status } = this.plan;
    if (isFailure(status)) return status;
    return this.has("degraded-check") ? "DEGRADED" : status;
  }

  #judge(): Host["health"] {
    const { status } = this.plan;
    if ((this.#flags & unhealthyBits) !== 0 || isFailure(status)) return "unhealthy";
    return status === "DEGRADED" || this.has("degraded-check") ? "degraded" : "healthy";
  }
}

function isFailure(status: HealthStatus): boolean {
  return status === "UNHEALTHY" || status === "DRAINING" || status === "TIMEOUT";
}
