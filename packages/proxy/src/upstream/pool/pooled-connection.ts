/** A connection that takes requests, of either protocol, and what it tells its pool. */
import type { Clock } from "../../lib/clock.ts";
import type { Host, UpstreamError } from "../types.ts";
import type { PoolStats } from "./pool-stats.ts";
import type { ProtocolOptions } from "./protocol-options.ts";
import type { UpstreamExchange } from "./upstream-exchange.ts";

export interface PooledConnection {
  readonly protocol: "HTTP/1.1" | "HTTP/2";
  /** Requests that it takes now. */
  readonly capacity: number;
  readonly active: number;
  /** Of the monotonic clock; set by the pool when the last request has ended. */
  idleSince: number;
  /** Kept by the pool: true while it is in its list of those with room. */
  isReady: boolean;
  /** Sends a request; its end is told to the pool. */
  start(exchange: UpstreamExchange): void;
  /** The request is not wanted any more. */
  abort(exchange: UpstreamExchange, error: UpstreamError): void;
  /** Takes no request any more, and ends when those it has are over. */
  drain(): void;
  /** Ends now. */
  close(): void;
}

export interface ConnectionOwner {
  readonly host: Host;
  readonly stats: PoolStats;
  readonly options: ProtocolOptions;
  readonly clock: Clock;
  readonly random: () => number;
  /** A request is over, or the server takes more at once: there is room. */
  onCapacity(connection: PooledConnection): void;
  /** It takes no more requests; it is not over yet. */
  onDraining(connection: PooledConnection): void;
  onClosed(connection: PooledConnection): void;
}
