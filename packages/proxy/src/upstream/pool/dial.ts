/** Connections to hosts: the socket, its timeout, what goes around it, and the statistics of both. */

import { connect, type OnReadOpts, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { durationToMs } from "@meltemi/protos";
import type { Cluster } from "@meltemi/protos/envoy/config/cluster/v3";
import type { Clock, Timer } from "../../lib/clock.ts";
import { readSize } from "../../lib/read-turns.ts";
import { wrappedNumber } from "../../lib/wrapped.ts";
import { type DownstreamConnection, formatAddress, type TlsInfo } from "../../listeners/connection.ts";
import type { Host } from "../types.ts";
import { UpstreamError } from "../types.ts";
import { compileBindAddress } from "./bind-address.ts";
import type { HostCounts, PoolStats } from "./pool-stats.ts";
import type { TransportSocket } from "./transport-socket.ts";

export interface DialOptions {
  readonly host: Host;
  readonly counts: HostCounts;
  readonly transport: TransportSocket;
  readonly sni?: string | undefined;
  readonly sans?: readonly string[] | undefined;
  readonly alpn?: readonly string[] | undefined;
  readonly fallbackAlpn?: readonly string[] | undefined;
  readonly downstream?: DownstreamConnection | undefined;
  /** Where bytes go without a stream's detours; only sockets without TLS can do that. */
  readonly reader?: SocketReader | undefined;
  readonly isHalfOpen: boolean;
}

export interface Dialed {
  readonly stream: Duplex;
  readonly localAddress: string;
  readonly tls: TlsInfo | undefined;
}

/** A dial under way: `abort` ends it, and `connection` rejects. */
export interface Dial {
  readonly connection: Promise<Dialed>;
  abort(): void;
}

export interface Dialer {
  dial(options: DialOptions): Dial;
}

export interface DialerEnv {
  readonly cluster: Cluster;
  /** Asked for when there is something to count. */
  readonly stats: () => PoolStats;
  readonly clock: Clock;
}

/** Gets the bytes of a socket as they are read. They are good until the call returns. */
export class SocketReader {
  receive: (buffer: Buffer, length: number) => void = () => undefined;
}

const defaultConnectTimeoutMs = 5000;

/**
 * One piece of memory that all sockets read into: the platform reads and calls back without anything between, and what is
 * kept is copied. For each socket one would be 64 MB for a thousand of them.
 */
const readBuffer = Buffer.allocUnsafeSlow(readSize);

/** Reads connect_timeout, bind addresses and TCP keep-alive of a cluster. Throws ConfigError. */
export function compileDialer({ cluster, stats, clock }: DialerEnv): Dialer {
  const timeoutMs = cluster.connect_timeout ? durationToMs(cluster.connect_timeout) : defaultConnectTimeoutMs;
  const bind = compileBindAddress(cluster.upstream_bind_config);
  const keepAlive = cluster.upstream_connection_options?.tcp_keepalive;
  const socketOptions = {
    noDelay: true,
    ...(keepAlive && { keepAlive: true, keepAliveInitialDelay: wrappedNumber(keepAlive.keepalive_time, 0) * 1000 }),
  };
  return {
    dial(options) {
      const { host, reader } = options;
      const socket = connect({
        ...socketOptions,
        ...findTarget(host),
        ...(host.port > 0 && bind(host.ip)),
        allowHalfOpen: options.isHalfOpen,
        ...(reader && !options.transport.isSecure && { onread: readInto(reader) }),
      });
      const attempt = new DialAttempt(options, { socket, stats: stats(), clock, timeoutMs });
      return { connection: attempt.run(), abort: () => attempt.abort() };
    },
  };
}

function findTarget(host: Host): { readonly path: string } | { readonly host: string; readonly port: number } {
  return host.port === 0 && host.address.includes("/") ? { path: host.address } : { host: host.ip, port: host.port };
}

function readInto(reader: SocketReader): OnReadOpts {
  return {
    buffer: readBuffer,
    callback(length) {
      reader.receive(readBuffer, length);
      return true;
    },
  };
}

interface AttemptParts {
  readonly socket: Socket;
  readonly stats: PoolStats;
  readonly clock: Clock;
  readonly timeoutMs: number;
}

class DialAttempt {
  readonly #options: DialOptions;
  readonly #parts: AttemptParts;
  readonly #startedAt: number;
  readonly #timer: Timer;
  #isConnected = false;
  #isTimedOut = false;
  #isAborted = false;

  constructor(options: DialOptions, parts: AttemptParts) {
    this.#options = options;
    this.#parts = parts;
    this.#startedAt = parts.clock.monotonic();
    this.#timer = parts.clock.after(parts.timeoutMs, () => {
      this.#isTimedOut = true;
      parts.socket.destroy(new Error("connection timeout"));
    });
    const { stats } = parts;
    stats.upstream_cx_total.inc();
    stats.upstream_cx_active.inc();
    options.counts.cx_total++;
    options.counts.cx_active++;
    parts.socket.once("close", () => this.#onClose());
  }

  /** Connects and shakes hands. Rejects with UpstreamError. */
  async run(): Promise<Dialed> {
    const { socket, clock, stats } = this.#parts;
    const { transport, host } = this.#options;
    // Between a failure and its handling nobody else listens.
    socket.on("error", () => undefined);
    try {
      await once(socket);
      const localAddress = formatAddress({ ip: socket.localAddress ?? host.address, port: socket.localPort ?? 0 });
      const secured = await transport.connect(socket, this.#options);
      if (socket.destroyed) throw new Error("connection closed");
      this.#isConnected = true;
      this.#timer.close();
      stats.upstream_cx_connect_ms.record(clock.monotonic() - this.#startedAt);
      return { stream: secured.stream, localAddress, tls: secured.info };
    } catch (cause: unknown) {
      this.#timer.close();
      socket.destroy();
      throw this.#explain(cause);
    }
  }

  abort(): void {
    if (this.#isConnected) return;
    this.#isAborted = true;
    this.#parts.socket.destroy(new Error("connection aborted"));
  }

  #explain(cause: unknown): UpstreamError {
    const { host, counts } = this.#options;
    const { stats } = this.#parts;
    if (this.#isAborted) return new UpstreamError("local-reset", { host, cause });
    stats.upstream_cx_connect_fail.inc();
    counts.cx_connect_fail++;
    if (!this.#isTimedOut) {
      return new UpstreamError("connection-failure", { host, cause, transportFailure: describeFailure(cause) });
    }
    stats.upstream_cx_connect_timeout.inc();
    return new UpstreamError("connection-timeout", { host, cause });
  }

  #onClose(): void {
    const { stats, clock } = this.#parts;
    stats.upstream_cx_active.dec();
    this.#options.counts.cx_active--;
    stats.upstream_cx_destroy.inc();
    stats.upstream_cx_length_ms.record(clock.monotonic() - this.#startedAt);
    this.#timer.close();
  }
}

/** Resolves when the socket is connected. */
function once(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once("connect", () => resolve());
    socket.once("error", reject);
    socket.once("close", () => reject(new Error("connection closed")));
  });
}

/** The operating system's word for what went wrong, as Envoy words it. */
const systemTexts: ReadonlyMap<string, string> = new Map([
  ["ECONNREFUSED", "Connection refused"],
  ["ECONNRESET", "Connection reset by peer"],
  ["EHOSTUNREACH", "No route to host"],
  ["ENETUNREACH", "Network is unreachable"],
  ["ETIMEDOUT", "Connection timed out"],
  ["ENOENT", "No such file or directory"],
  ["EACCES", "Permission denied"],
  ["EADDRNOTAVAIL", "Cannot assign requested address"],
  ["EPERM", "Operation not permitted"],
  ["EPIPE", "Broken pipe"],
]);

function describeFailure(cause: unknown): string {
  if (!(cause instanceof Error)) return "";
  const code = "code" in cause && typeof cause.code === "string" ? cause.code : "";
  const text = systemTexts.get(code);
  if (text !== undefined) return `delayed connect error: ${text}`;
  return cause.message.startsWith("TLS_error") ? cause.message : "";
}
