import type { Clock } from "../lib/clock.ts";
import type { ClusterManager } from "../upstream/types.ts";
import type { FinishedSpan } from "./span-queue.ts";
import type { Propagation } from "./trace-context.ts";

/** Where spans go, and how traces go on. */
export interface TracingProvider {
  /** Its statistics are below "tracing.NAME". */
  readonly name: string;
  readonly propagation: Propagation;
  /** Trace ids of 128 bits in place of 64. */
  readonly hasLongTraceIds: boolean;
  /** A server's span has the id of its client's. */
  readonly sharesSpans: boolean;
  /** Spans of requests are a server's, wherever the traffic goes: the next proxy or the caller has the client's. */
  readonly splitsSpans: boolean;
  /** Rejects where the collector did not take them. */
  send(spans: readonly FinishedSpan[]): Promise<void>;
}

export interface TracingProviderEnv {
  readonly clusters: ClusterManager;
  readonly clock: Clock;
  /** The cluster of this proxy's node. */
  readonly serviceName: string;
}
