/** Limits of connections to a cluster (Istio: networking/core/cluster_traffic_policy.go, applyConnectionPool). */

import { duration, u32 } from "@meltemi/protos";
import type {
  CircuitBreakers_Thresholds,
  CircuitBreakers_Thresholds_RetryBudget,
  Cluster,
} from "@meltemi/protos/envoy/config/cluster/v3";
import type { Duration } from "@meltemi/protos/google/protobuf";
import type { TcpKeepalive } from "../../api/destination-rule/schema.ts";
import type { MeshConfig } from "../../api/mesh-config/schema.ts";
import { parseDuration } from "../../lib/duration.ts";
import { toOptionalDuration } from "../durations.ts";
import type { EffectivePolicy } from "./traffic-policy.ts";

// Istio sets no limits of its own: Envoy's (1024 and 3 retries) were met in production while pods came and went.
const noLimit = 4294967295;
const defaultBudgetPercent = 20;
const defaultBudgetConcurrency = 3;
const millisecondsPerSecond = 1000;

export type ConnectionLimits = Pick<Cluster, "connect_timeout" | "circuit_breakers" | "upstream_connection_options">;

export function buildConnectionLimits(policy: EffectivePolicy | undefined, mesh: MeshConfig): ConnectionLimits {
  const { tcp, http } = policy?.connectionPool ?? {};
  const thresholds: CircuitBreakers_Thresholds = {
    max_connections: u32(positive(tcp?.maxConnections) ?? noLimit),
    max_pending_requests: u32(positive(http?.http1MaxPendingRequests) ?? noLimit),
    max_requests: u32(positive(http?.http2MaxRequests) ?? noLimit),
    max_retries: u32(positive(http?.maxRetries) ?? noLimit),
    ...buildRetryBudget(policy?.retryBudget),
  };
  return {
    connect_timeout: toOptionalDuration(tcp?.connectTimeout) ?? buildMeshConnectTimeout(mesh),
    circuit_breakers: { thresholds: [thresholds] },
    ...buildKeepalive([mesh.tcpKeepalive, tcp?.tcpKeepalive]),
  };
}

export function buildMeshConnectTimeout(mesh: MeshConfig): Duration {
  return toOptionalDuration(mesh.connectTimeout) ?? duration(10 * millisecondsPerSecond);
}

/** Istio reads zero and less as "not set". */
export function positive(value: number | undefined): number | undefined {
  return value !== undefined && value > 0 ? value : undefined;
}

function buildRetryBudget(budget: EffectivePolicy["retryBudget"]): {
  retry_budget?: CircuitBreakers_Thresholds_RetryBudget;
} {
  if (budget === undefined) return {};
  const percent = budget.percent ?? defaultBudgetPercent;
  const interval = toOptionalDuration(budget.budgetInterval);
  return {
    retry_budget: {
      budget_percent: percent === 0 ? {} : { value: percent },
      min_retry_concurrency: u32(positive(budget.minRetryConcurrency) ?? defaultBudgetConcurrency),
      ...(interval === undefined ? {} : { budget_interval: interval }),
    },
  };
}

/** Later settings override single fields of earlier ones; an empty one turns probes on with the system's times. */
function buildKeepalive(settings: readonly (TcpKeepalive | undefined)[]): ConnectionLimits {
  const given = settings.filter((setting) => setting !== undefined);
  if (given.length === 0) return {};
  const merged: TcpKeepalive = Object.assign({}, ...given);
  const probes = given.map((setting) => positive(setting.probes)).findLast((count) => count !== undefined);
  return {
    upstream_connection_options: {
      tcp_keepalive: {
        ...(probes === undefined ? {} : { keepalive_probes: u32(probes) }),
        ...(merged.time === undefined ? {} : { keepalive_time: u32(wholeSeconds(merged.time)) }),
        ...(merged.interval === undefined ? {} : { keepalive_interval: u32(wholeSeconds(merged.interval)) }),
      },
    },
  };
}

function wholeSeconds(text: string): number {
  return Math.trunc((parseDuration(text) ?? 0) / millisecondsPerSecond);
}
