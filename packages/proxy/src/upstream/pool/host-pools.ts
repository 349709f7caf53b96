/** The pools of a cluster: for each host one for each priority, protocol and kind of TLS, made when first needed. */
import type { Timer } from "../../lib/clock.ts";
import type { ConnectOptions, Host, PendingRequest, UpstreamConnection, UpstreamRequest } from "../types.ts";
import { UpstreamError } from "../types.ts";
import { ConnectionPool, type Opening } from "./connection-pool.ts";
import { compileDialer, type Dialer, SocketReader } from "./dial.ts";
import { Http1Connection } from "./http1-connection.ts";
import { Http2Connection } from "./http2-connection.ts";
import { createHostCounts, createPoolStats, type HostCounts, type PoolStats } from "./pool-stats.ts";
import type { ConnectionOwner, PooledConnection } from "./pooled-connection.ts";
import { compileProtocolOptions, type ProtocolOptions } from "./protocol-options.ts";
import { TcpConnections } from "./tcp-connections.ts";
import { compileTransportChoice, type TransportChoice } from "./transport-choice.ts";
import type { TransportSocket } from "./transport-socket.ts";
import type { HostPools, PoolEnv } from "./types.ts";

type Priority = "DEFAULT" | "HIGH";
type PoolProtocol = "http1" | "http2" | "auto";

/** Compiles a cluster's protocols, transport sockets and limits. Throws ConfigError. */
export function createHostPools(env: PoolEnv): HostPools {
  const options = compileProtocolOptions(env.cluster);
  let made: PoolStats | undefined;
  // Most clusters of a large mesh are never spoken to.
  const stats = (): PoolStats => {
    made ??= createPoolStats(env.stats);
    return made;
  };
  const dialer = compileDialer({ cluster: env.cluster, stats, clock: env.clock });
  const transports = compileTransportChoice(env.cluster, env);
  return new ClusterPools({ env, options, stats, dialer, transports });
}

interface ClusterParts {
  readonly env: PoolEnv;
  readonly options: ProtocolOptions;
  readonly stats: () => PoolStats;
  readonly dialer: Dialer;
  readonly transports: TransportChoice;
}

/** What is kept of a host. */
interface HostEntry {
  readonly host: Host;
  readonly counts: HostCounts;
  readonly transport: TransportSocket;
  readonly pools: Map<string, ConnectionPool>;
  /** The pool that nearly all requests want, found without a key. */
  usual: ConnectionPool | undefined;
  /** It has left the cluster: with its last connection nothing is kept of it. */
  isLeaving: boolean;
}

class ClusterPools implements HostPools {
  readonly ready: Promise<void>;
  readonly #parts: ClusterParts;
  readonly #hosts = new Map<Host, HostEntry>();
  readonly #tcp: TcpConnections;
  #idleTimer: Timer | undefined;
  #isClosed = false;

  constructor(parts: ClusterParts) {
    this.#parts = parts;
    this.#tcp = new TcpConnections(parts.dialer, parts.stats);
    this.ready = parts.transports.ready;
  }

  send(host: Host, request: UpstreamRequest, priority: Priority): PendingRequest {
    const entry = this.#hosts.get(host) ?? this.#add(host);
    return this.#findPool(entry, request, priority).send(request);
  }

  connect(host: Host, options: ConnectOptions): Promise<UpstreamConnection> {
    const { counts, transport } = this.#hosts.get(host) ?? this.#add(host);
    if (this.#isClosed) return Promise.reject(new UpstreamError("connection-failure", { host }));
    return this.#tcp.open({ host, counts, transport, breakers: this.#parts.env.breakers("DEFAULT") }, options);
  }

  drainHost(host: Host, how: "finish" | "close"): void {
    const entry = this.#hosts.get(host);
    if (entry === undefined) return;
    for (const pool of entry.pools.values()) pool.drain(how);
    if (how === "close") this.#tcp.closeHost(host);
  }

  removeHost(host: Host): void {
    const entry = this.#hosts.get(host);
    if (entry === undefined) return;
    entry.isLeaving = true;
    this.drainHost(host, "finish");
    this.#forget(entry);
  }

  describeHost(host: Host): Readonly<HostCounts> {
    return this.#hosts.get(host)?.counts ?? createHostCounts();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#idleTimer?.close();
    for (const { pools } of this.#hosts.values()) for (const pool of pools.values()) pool.close();
    this.#tcp.close();
    this.#parts.transports.close();
  }

  /** A host that has come back meanwhile is simply found anew. */
  #forget(entry: HostEntry): void {
    if (!entry.isLeaving || [...entry.pools.values()].some((pool) => !pool.isEmpty)) return;
    if (this.#hosts.get(entry.host) === entry) this.#hosts.delete(entry.host);
  }

  #add(host: Host): HostEntry {
    const transport = this.#parts.transports.choose(host);
    const entry = { host, counts: createHostCounts(), transport, pools: new Map(), usual: undefined, isLeaving: false };
    this.#hosts.set(host, entry);
    return entry;
  }

  #findPool(entry: HostEntry, request: UpstreamRequest, priority: Priority): ConnectionPool {
    const { choice } = this.#parts.options;
    const protocol = choice === "downstream" ? followClient(request) : choice;
    const key = entry.transport.keyOf(request);
    if (key === "" && priority === "DEFAULT" && choice !== "downstream") {
      entry.usual ??= this.#createPool(entry, { protocol, request, priority, key: protocol });
      return entry.usual;
    }
    const whole = `${protocol} ${priority} ${key}`;
    return entry.pools.get(whole) ?? this.#createPool(entry, { protocol, request, priority, key: whole });
  }

  #createPool(entry: HostEntry, { protocol, request, priority, key }: PoolChoice): ConnectionPool {
    const { env, options, stats, dialer } = this.#parts;
    const { host, counts, transport } = entry;
    const { sni, sans, downstream } = request;
    const opener = { dialer, protocol, dial: { host, counts, transport, sni, sans, downstream } };
    const pool = new ConnectionPool({
      ...{ host, stats: stats(), counts, options },
      ...{ clock: env.clock, random: env.random },
      breakers: env.breakers(priority),
      expectedCapacity: protocol === "http2" ? options.http2.maxConcurrentStreams : 1,
      open: (owner) => openConnection(opener, owner),
      onIdle: () => this.#watchIdle(),
      onEmpty: () => this.#forget(entry),
    });
    entry.pools.set(key, pool);
    return pool;
  }

  /** One timer for the cluster, set for the first connection that may end: none for each request. */
  #watchIdle(): void {
    const { idleTimeoutMs } = this.#parts.options;
    if (this.#idleTimer !== undefined || idleTimeoutMs <= 0 || this.#isClosed) return;
    this.#idleTimer = this.#parts.env.clock.after(idleTimeoutMs, () => this.#endIdle());
  }

  #endIdle(): void {
    this.#idleTimer = undefined;
    const { idleTimeoutMs } = this.#parts.options;
    const now = this.#parts.env.clock.monotonic();
    let earliest = Number.POSITIVE_INFINITY;
    for (const { pools } of this.#hosts.values()) {
      for (const [key, pool] of pools) {
        earliest = Math.min(earliest, pool.endIdle(now - idleTimeoutMs));
        // Pools of one caller or of one name would be kept for ever otherwise; the usual ones are few.
        if (pool.isEmpty && key.includes(" ")) pools.delete(key);
      }
    }
    if (earliest === Number.POSITIVE_INFINITY) return;
    const delay = Math.max(1, earliest + idleTimeoutMs - now);
    this.#idleTimer = this.#parts.env.clock.after(delay, () => this.#endIdle());
  }
}

function followClient({ downstreamProtocol }: UpstreamRequest): PoolProtocol {
  return downstreamProtocol === "HTTP/2" ? "http2" : "http1";
}

interface PoolChoice {
  readonly protocol: PoolProtocol;
  readonly request: UpstreamRequest;
  readonly priority: Priority;
  readonly key: string;
}

interface Opener {
  readonly dialer: Dialer;
  readonly protocol: PoolProtocol;
  readonly dial: Pick<Parameters<Dialer["dial"]>[0], "host" | "counts" | "transport" | "sni" | "sans" | "downstream">;
}

const alpnOf: Readonly<Record<PoolProtocol, readonly string[]>> = {
  http1: ["http/1.1"],
  http2: ["h2"],
  auto: ["h2", "http/1.1"],
};

function openConnection({ dialer, protocol, dial }: Opener, owner: ConnectionOwner): Opening {
  const reader = dial.transport.isSecure ? undefined : new SocketReader();
  const fallbackAlpn = alpnOf[protocol];
  const attempt = dialer.dial({ ...dial, fallbackAlpn, reader, isHalfOpen: false });
  const connection = attempt.connection.then((dialed): PooledConnection => {
    const isHttp2 = protocol === "http2" || (protocol === "auto" && dialed.tls?.alpn === "h2");
    return isHttp2 ? new Http2Connection(dialed, reader, owner) : new Http1Connection(dialed, reader, owner);
  });
  return { connection, abort: () => attempt.abort() };
}
