/** Connections for bytes: each for one user, through the cluster's transport socket. */
import type { CircuitBreakers, ConnectOptions, Host, UpstreamConnection } from "../types.ts";
import { UpstreamError } from "../types.ts";
import type { Dial, Dialed, Dialer } from "./dial.ts";
import type { HostCounts, PoolStats } from "./pool-stats.ts";
import type { TransportSocket } from "./transport-socket.ts";

export interface TcpTarget {
  readonly host: Host;
  readonly counts: HostCounts;
  readonly transport: TransportSocket;
  readonly breakers: CircuitBreakers;
}

export class TcpConnections {
  readonly #dialer: Dialer;
  readonly #stats: () => PoolStats;
  readonly #open = new Map<UpstreamConnection, Host>();
  readonly #dials = new Set<Dial>();

  constructor(dialer: Dialer, stats: () => PoolStats) {
    this.#dialer = dialer;
    this.#stats = stats;
  }

  /** Opens one. Rejects with UpstreamError: "overflow" where the cluster has as many as it may. */
  async open(target: TcpTarget, options: ConnectOptions): Promise<UpstreamConnection> {
    const { host, breakers } = target;
    const { signal } = options;
    if (signal?.aborted) throw new UpstreamError("local-reset", { host });
    if (!breakers.connections.take()) throw new UpstreamError("overflow", { host });
    const { downstream, sni, sans, alpn } = options;
    this.#stats().upstream_rq_pending_total.inc();
    const dial = this.#dialer.dial({ ...target, downstream, sni, sans, alpn, isHalfOpen: true });
    const abort = () => dial.abort();
    signal?.addEventListener("abort", abort, { once: true });
    this.#dials.add(dial);
    try {
      return this.#keep(await dial.connection, target);
    } catch (cause: unknown) {
      breakers.connections.release();
      throw cause;
    } finally {
      this.#dials.delete(dial);
      signal?.removeEventListener("abort", abort);
    }
  }

  closeHost(host: Host): void {
    for (const [connection, its] of [...this.#open]) if (its === host) connection.close();
  }

  close(): void {
    for (const dial of this.#dials) dial.abort();
    for (const connection of [...this.#open.keys()]) connection.close();
  }

  #keep({ stream, localAddress }: Dialed, { host, counts, breakers }: TcpTarget): UpstreamConnection {
    const stats = this.#stats();
    stats.upstream_rq_total.inc();
    stats.upstream_rq_active.inc();
    counts.rq_total++;
    counts.rq_active++;
    const connection: UpstreamConnection = { stream, localAddress, close: () => stream.destroy() };
    this.#open.set(connection, host);
    stream.once("close", () => {
      this.#open.delete(connection);
      stats.upstream_rq_active.dec();
      counts.rq_active--;
      breakers.connections.release();
      stats[stream.readableEnded ? "upstream_cx_destroy_remote" : "upstream_cx_destroy_local"].inc();
      if ("bytesRead" in stream && typeof stream.bytesRead === "number") {
        stats.upstream_cx_rx_bytes_total.inc(stream.bytesRead);
      }
      if ("bytesWritten" in stream && typeof stream.bytesWritten === "number") {
        stats.upstream_cx_tx_bytes_total.inc(stream.bytesWritten);
      }
    });
    return connection;
  }
}
