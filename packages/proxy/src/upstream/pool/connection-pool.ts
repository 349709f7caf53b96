/** The connections to one host for requests of one kind: those that are open, and the requests that wait for one. */
import type { Clock } from "../../lib/clock.ts";
import type { CircuitBreakers, Host, PendingRequest, UpstreamRequest } from "../types.ts";
import { UpstreamError } from "../types.ts";
import type { HostCounts, PoolStats } from "./pool-stats.ts";
import type { ConnectionOwner, PooledConnection } from "./pooled-connection.ts";
import type { ProtocolOptions } from "./protocol-options.ts";
import { type ExchangeOwner, UpstreamExchange } from "./upstream-exchange.ts";

/** A connection on its way. */
export interface Opening {
  readonly connection: Promise<PooledConnection>;
  abort(): void;
}

export interface PoolParts {
  readonly host: Host;
  readonly stats: PoolStats;
  readonly counts: HostCounts;
  readonly breakers: CircuitBreakers;
  readonly options: ProtocolOptions;
  readonly clock: Clock;
  readonly random: () => number;
  /** Requests that one connection will take at once, as far as that is known before it is open. */
  readonly expectedCapacity: number;
  open(owner: ConnectionOwner): Opening;
  /** A connection has nothing to do from now on; it says so again after every request. */
  onIdle(): void;
  /** The last connection has ended, and nobody waits for another. */
  onEmpty(): void;
}

export class ConnectionPool implements ConnectionOwner, ExchangeOwner {
  readonly host: Host;
  readonly stats: PoolStats;
  readonly counts: HostCounts;
  readonly breakers: CircuitBreakers;
  readonly options: ProtocolOptions;
  readonly clock: Clock;
  readonly random: () => number;
  readonly #parts: PoolParts;
  /** With room for a request. The last one used is the first to be used again, so that the others may end. */
  readonly #ready: PooledConnection[] = [];
  /** All that are open; true where they hold a place of the breaker. */
  readonly #open = new Map<PooledConnection, boolean>();
  readonly #openings = new Set<Opening>();
  readonly #pending = new Set<UpstreamExchange>();

  constructor(parts: PoolParts) {
    this.#parts = parts;
    this.host = parts.host;
    this.stats = parts.stats;
    this.counts = parts.counts;
    this.breakers = parts.breakers;
    this.options = parts.options;
    this.clock = parts.clock;
    this.random = parts.random;
  }

  get isEmpty(): boolean {
    return this.#open.size === 0 && this.#openings.size === 0 && this.#pending.size === 0;
  }

  send(request: UpstreamRequest): PendingRequest {
    const exchange = new UpstreamExchange(request, this);
    const connection = this.#findReady();
    if (connection !== undefined) {
      this.#start(connection, exchange);
      return exchange;
    }
    if (!this.breakers.pendingRequests.take()) {
      // Without the host: as for Envoy, a request that was not even let into the queue had none.
      exchange.fail(new UpstreamError("overflow"));
      return exchange;
    }
    this.stats.upstream_rq_pending_total.inc();
    this.stats.upstream_rq_pending_active.inc();
    this.#pending.add(exchange);
    this.#openForPending();
    return exchange;
  }

  forget(exchange: UpstreamExchange): void {
    if (!this.#pending.delete(exchange)) return;
    this.breakers.pendingRequests.release();
    this.stats.upstream_rq_pending_active.dec();
    if (this.#pending.size > 0) return;
    // Nobody waits for what is being opened. Envoy, too, ends connections that are not needed any more.
    for (const opening of this.#openings) opening.abort();
  }

  onCapacity(connection: PooledConnection): void {
    if (connection.capacity === 0) return;
    while (this.#pending.size > 0 && connection.capacity > 0) this.#startPending(connection);
    if (connection.active === 0) {
      connection.idleSince = this.clock.monotonic();
      this.#parts.onIdle();
    }
    if (connection.isReady || connection.capacity === 0) return;
    connection.isReady = true;
    this.#ready.push(connection);
  }

  onDraining(connection: PooledConnection): void {
    if (!connection.isReady) return;
    connection.isReady = false;
    this.#ready.splice(this.#ready.indexOf(connection), 1);
  }

  onClosed(connection: PooledConnection): void {
    this.onDraining(connection);
    if (this.#open.get(connection) === true) this.breakers.connections.release();
    this.#open.delete(connection);
    this.#openForPending();
    if (this.isEmpty) this.#parts.onEmpty();
  }

  /** Ends connections that have had nothing to do since `before`; gives when the next one of the others will have. */
  endIdle(before: number): number {
    let earliest = Number.POSITIVE_INFINITY;
    for (const connection of [...this.#open.keys()]) {
      if (connection.active > 0) continue;
      if (connection.idleSince > before) earliest = Math.min(earliest, connection.idleSince);
      else {
        this.stats.upstream_cx_idle_timeout.inc();
        connection.close();
      }
    }
    return earliest;
  }

  drain(how: "finish" | "close"): void {
    for (const connection of [...this.#open.keys()]) {
      if (how === "close") connection.close();
      else connection.drain();
    }
    if (how === "close") this.#failPending(new UpstreamError("connection-termination", { host: this.host }));
  }

  close(): void {
    for (const opening of this.#openings) opening.abort();
    this.#failPending(new UpstreamError("connection-termination", { host: this.host }));
    for (const connection of [...this.#open.keys()]) connection.close();
  }

  /** From when it has a connection: what it has waited for that is not the server's. */
  #limitDuration(exchange: UpstreamExchange): void {
    const expire = () => {
      this.stats.upstream_rq_max_duration_reached.inc();
      exchange.expire();
    };
    exchange.timer = this.clock.after(this.options.maxStreamDurationMs, expire);
  }

  #findReady(): PooledConnection | undefined {
    // The last one may be full: a body that is there already is written as its request begins, and who hears of its end may
    // send another request before that.
    for (let index = this.#ready.length - 1; index >= 0; index--) {
      const connection = this.#ready[index];
      if (connection !== undefined && connection.capacity > 0) return connection;
    }
    return undefined;
  }

  /** Gives a request to a connection with room, where the cluster may have one more. */
  #start(connection: PooledConnection, exchange: UpstreamExchange): void {
    if (!this.breakers.requests.take()) {
      exchange.fail(new UpstreamError("overflow", { host: this.host }));
      return;
    }
    connection.start(exchange);
    if (this.options.maxStreamDurationMs > 0 && !exchange.isOver) this.#limitDuration(exchange);
    if (connection.capacity > 0) return;
    if (connection.isReady && this.#ready[this.#ready.length - 1] === connection) {
      connection.isReady = false;
      this.#ready.pop();
    } else this.onDraining(connection);
  }

  #startPending(connection: PooledConnection): void {
    for (const exchange of this.#pending) {
      this.#pending.delete(exchange);
      this.breakers.pendingRequests.release();
      this.stats.upstream_rq_pending_active.dec();
      this.#start(connection, exchange);
      return;
    }
  }

  #openForPending(): void {
    while (this.#pending.size > this.#openings.size * this.#parts.expectedCapacity) {
      const isCounted = this.breakers.connections.take();
      // One connection is always allowed: with none, nothing would ever come of the requests that wait.
      if (!isCounted && this.#open.size + this.#openings.size > 0) return;
      this.#begin(isCounted);
    }
  }

  #begin(isCounted: boolean): void {
    const opening = this.#parts.open(this);
    this.#openings.add(opening);
    opening.connection.then(
      (connection) => {
        this.#openings.delete(opening);
        this.#open.set(connection, isCounted);
        this.onCapacity(connection);
      },
      (cause: unknown) => {
        this.#openings.delete(opening);
        if (isCounted) this.breakers.connections.release();
        if (!(cause instanceof UpstreamError) || cause.failure === "local-reset") this.#openForPending();
        else this.#failPending(cause);
      },
    );
  }

  /** One failure fails all that wait: their callers decide what to do, and none is stuck behind a host that is gone. */
  #failPending(error: UpstreamError): void {
    const waiting = [...this.#pending];
    this.#pending.clear();
    for (const exchange of waiting) {
      this.breakers.pendingRequests.release();
      this.stats.upstream_rq_pending_active.dec();
      this.stats.upstream_rq_pending_failure_eject.inc();
      exchange.fail(error);
    }
  }
}
