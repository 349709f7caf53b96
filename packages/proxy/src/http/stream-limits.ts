/**
 * The limits of one stream that a look at all of them every so often would meet too late: how long it may last, and how
 * long it may stand still where its route allows less than the connection manager. Made for streams that have such limits,
 * and for no others.
 */
import type { Deadline } from "../router/deadlines.ts";
import { formatGrpcTimeout, parseGrpcTimeout } from "../router/timeouts.ts";
import type { ForwardPlan, StreamDuration } from "../router/types.ts";
import type { Manager } from "./connection-manager-parts.ts";
import type { HttpExchange } from "./http-exchange.ts";
import { isGrpcType } from "./rescue.ts";

export class StreamLimits {
  readonly #exchange: HttpExchange;
  readonly #manager: Manager;
  #duration: Deadline | undefined;
  #durationMs: number | undefined;
  #idle: Deadline | undefined;

  constructor(exchange: HttpExchange, manager: Manager) {
    this.#exchange = exchange;
    this.#manager = manager;
  }

  /** Counts from the stream's beginning, whenever the limit becomes known. */
  limitDuration(ms: number): void {
    if (this.#durationMs === ms) return;
    this.#duration?.cancel();
    this.#durationMs = ms;
    this.#duration = this.#manager.deadlines.add(ms, () => this.#endLong(), this.#exchange.info.startedAt);
  }

  /** A route was found, perhaps another than before. */
  follow({ streamDuration, idleTimeoutMs }: ForwardPlan): void {
    this.#followDuration(streamDuration);
    this.#idle?.cancel();
    if (!needsIdleWatch(idleTimeoutMs, this.#manager)) return;
    this.#exchange.noteTraffic(this.#manager.env.clock.monotonic());
    this.#watchIdle(idleTimeoutMs, this.#exchange.seenAt);
  }

  close(): void {
    this.#duration?.cancel();
    this.#idle?.cancel();
  }

  #followDuration(rules: StreamDuration | undefined): void {
    const { headers } = this.#exchange.request;
    const ms = this.#durationBy(rules);
    const tellsGrpc = rules !== undefined && isGrpcType(headers.get("content-type"));
    if (ms !== undefined) {
      if (tellsGrpc) headers.set("grpc-timeout", formatGrpcTimeout(ms));
      this.limitDuration(ms);
    } else if (this.#duration !== undefined) {
      // As Envoy does it: only where a limit was in force does the upstream not hear of the client's.
      if (tellsGrpc) headers.remove("grpc-timeout");
      this.#duration.cancel();
      this.#durationMs = undefined;
    }
  }

  /** Undefined for none. What gRPC's header asks for counts for whatever a client speaks. */
  #durationBy(rules: StreamDuration | undefined): number | undefined {
    const { headers } = this.#exchange.request;
    const maxMs = rules?.grpcMaxMs;
    const asked = maxMs === undefined ? undefined : parseGrpcTimeout(headers.get("grpc-timeout"));
    if (rules === undefined || maxMs === undefined || asked === undefined) {
      const ms = rules?.maxMs ?? this.#manager.settings.timeouts.streamDurationMs;
      return ms > 0 ? ms : undefined;
    }
    const capped = maxMs > 0 ? Math.min(asked, maxMs) : asked;
    return Math.max(0, capped - rules.grpcOffsetMs);
  }

  #endLong(): void {
    const status = lateStatus(this.#exchange);
    this.#manager.stats.counters.rq_max_duration_reached.inc();
    this.#exchange.interrupt({
      ...{ status, body: "downstream duration timeout", details: "max_duration_timeout" },
      grpcStatus: 4,
    });
  }

  /** Looks ten times in the length of the limit: what moves in between is noticed that much late. */
  #watchIdle(idleMs: number, from: number): void {
    const periodMs = idleMs / Math.max(1, Math.min(10, Math.floor(idleMs / 10)));
    this.#idle = this.#manager.deadlines.add(periodMs, () => this.#lookForIdle(idleMs, from + periodMs), from);
  }

  #lookForIdle(idleMs: number, due: number): void {
    const exchange = this.#exchange;
    const { seenAt } = exchange;
    const now = this.#manager.env.clock.monotonic();
    exchange.noteTraffic(now);
    // Timers may come a little early.
    if (now + 1 >= exchange.seenAt + idleMs) endIdleStream(exchange, this.#manager.stats.counters);
    else this.#watchIdle(idleMs, exchange.seenAt === seenAt ? due : now);
  }
}

/** Whether a route's limit is so short that the connection manager, which looks at all streams, would be late for it. */
export function needsIdleWatch(idleMs: number | undefined, { settings }: Manager): idleMs is number {
  return idleMs !== undefined && idleMs > 0 && idleMs < settings.sweepMs * 10;
}

/** Ends a stream that has stood still for too long. */
export function endIdleStream(exchange: HttpExchange, counters: Manager["stats"]["counters"]): void {
  counters.rq_idle_timeout.inc();
  const status = lateStatus(exchange);
  exchange.interrupt({ status, body: "stream timeout", flags: ["SI"], details: "stream_idle_timeout" });
}

/** A request that has come is the upstream's to answer: 504 then, and 408 where the client is late. */
function lateStatus({ stream }: HttpExchange): number {
  return stream.isRequestComplete ? 504 : 408;
}
