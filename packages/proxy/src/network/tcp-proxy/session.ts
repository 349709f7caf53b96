import type { NetworkFilterEnv } from "../../config/env.ts";
import type { ResponseFlag } from "../../http/response-flags.ts";
import type { Timer } from "../../lib/clock.ts";
import type { DownstreamConnection } from "../../listeners/connection.ts";
import {
  flagOfFailure,
  type LoadBalancerContext,
  type UpstreamCluster,
  type UpstreamConnection,
  UpstreamError,
} from "../../upstream/types.ts";
import { IdleTimer } from "./idle-timer.ts";
import type { TcpProxyPlan } from "./plan.ts";
import { relay } from "./relay.ts";
import type { TcpProxyStats } from "./stats.ts";

export interface SessionParts {
  readonly plan: TcpProxyPlan;
  readonly stats: TcpProxyStats;
  readonly env: NetworkFilterEnv;
}

/** One connection of a client with its connection to a host. */
export class TcpSession {
  readonly #parts: SessionParts;
  readonly #connection: DownstreamConnection;
  readonly #abort = new AbortController();
  readonly #timers: Timer[] = [];
  #idle: IdleTimer | undefined;
  #upstream: UpstreamConnection | undefined;
  #isClientGone = false;

  constructor(parts: SessionParts, connection: DownstreamConnection) {
    this.#parts = parts;
    this.#connection = connection;
  }

  start(): void {
    const { plan, env } = this.#parts;
    this.#connection.onClose(() => this.#finish());
    if (plan.maxDurationMs > 0) {
      this.#timers.push(env.clock.after(plan.maxDurationMs, () => this.#endByAge()));
    }
    if (plan.logIntervalMs > 0) this.#timers.push(env.clock.every(plan.logIntervalMs, () => this.#log()));
    void this.#run();
  }

  async #run(): Promise<void> {
    try {
      const upstream = await this.#connect();
      if (upstream === undefined) return;
      if (this.#isClientGone) upstream.close();
      else this.#carry(upstream);
    } catch (cause: unknown) {
      this.#parts.env.log.error("A TCP connection failed", { cause });
      this.#connection.close("reset", "internal_error");
    }
  }

  /** Undefined where there is no connection to be had: the client's has been closed then. */
  async #connect(): Promise<UpstreamConnection | undefined> {
    const { plan, stats, env } = this.#parts;
    const { info } = this.#connection;
    const choice = plan.chooseCluster(this.#connection);
    const context = this.#contextOf(choice.metadataMatch);
    while (!this.#isClientGone) {
      const cluster = env.clusters.find(choice.name);
      if (cluster === undefined) {
        stats.noRoute.inc();
        return this.#refuse("NC");
      }
      info.clusterName = cluster.name;
      try {
        return await this.#attempt(cluster, context);
      } catch (cause: unknown) {
        if (!(cause instanceof UpstreamError)) throw cause;
        if (this.#isClientGone || !this.#mayRetry(cluster, cause)) return undefined;
      }
    }
    return undefined;
  }

  async #attempt(cluster: UpstreamCluster, context: LoadBalancerContext): Promise<UpstreamConnection> {
    const { plan } = this.#parts;
    const { info } = this.#connection;
    const host = await cluster.chooseHost(context);
    info.attempts += 1;
    info.upstreamHost = host;
    const upstream = await (plan.tunnel === undefined
      ? cluster.connect(host, this.#connectOptions())
      : plan.tunnel({ cluster, host, connection: this.#connection }));
    info.upstreamLocalAddress = upstream.localAddress;
    return upstream;
  }

  /** Whether another host may be tried; where not, the client's connection is closed. */
  #mayRetry(cluster: UpstreamCluster, error: UpstreamError): boolean {
    const { info } = this.#connection;
    info.upstreamHost = error.host ?? info.upstreamHost;
    info.upstreamTransportFailure = error.transportFailure;
    info.responseFlags.add(flagOfFailure[error.failure]);
    const isConnectFailure = error.failure === "connection-failure" || error.failure === "connection-timeout";
    if (isConnectFailure) {
      if (info.attempts < this.#parts.plan.maxConnectAttempts) return true;
      cluster.stats.counter("upstream_cx_connect_attempts_exceeded").inc();
      info.responseFlags.add("URX");
    }
    this.#connection.close("reset");
    return false;
  }

  #refuse(flag: ResponseFlag): undefined {
    this.#connection.info.responseFlags.add(flag);
    this.#connection.close("reset");
    return undefined;
  }

  #contextOf(match: LoadBalancerContext["metadataMatch"]): LoadBalancerContext {
    const { info } = this.#connection;
    const dynamic = info.dynamicMetadata.get("envoy.lb");
    const host = info.findFilterState("envoy.upstream.dynamic_host")?.text;
    const port = info.findFilterState("envoy.upstream.dynamic_port")?.text;
    return {
      hash: this.#parts.plan.hashOf(this.#connection),
      metadataMatch: dynamic === undefined ? match : { ...match, ...dynamic },
      downstream: this.#connection,
      authority: host === undefined || port === undefined ? host : `${host}:${port}`,
    };
  }

  /** What other filters have said for the connection to the host, under Envoy's names. */
  #connectOptions() {
    const { info } = this.#connection;
    const list = (name: string): readonly string[] | undefined => info.findFilterState(name)?.text.split(",");
    return {
      downstream: this.#connection,
      signal: this.#abort.signal,
      sni: info.findFilterState("envoy.network.upstream_server_name")?.text,
      sans: list("envoy.network.upstream_subject_alt_names"),
      alpn: list("envoy.network.application_protocols"),
    };
  }

  #carry(upstream: UpstreamConnection): void {
    const { plan, stats, env } = this.#parts;
    const { info, stream } = this.#connection;
    this.#upstream = upstream;
    if (plan.logsWhenConnected) this.#log();
    const idle = new IdleTimer(env.clock, plan.idleTimeoutMs, () => {
      stats.idleTimeout.inc();
      upstream.close();
      this.#connection.close("reset", "tcp_session_idle_timeout");
    });
    this.#idle = idle;
    upstream.stream.on("error", () => undefined);
    upstream.stream.once("close", () => this.#onServerGone(upstream));
    relay(stream, upstream.stream, {
      onClientBytes: (length) => {
        idle.touch();
        stats.receivedBytes.inc(length);
        info.bytesReceived += length;
        info.upstreamBytesSent += length;
      },
      onServerBytes: (length) => {
        idle.touch();
        stats.sentBytes.inc(length);
        info.bytesSent += length;
        info.upstreamBytesReceived += length;
      },
      onClientPaused: () => stats.paused.inc(),
      onClientResumed: () => stats.resumed.inc(),
    });
  }

  #onServerGone(upstream: UpstreamConnection): void {
    upstream.close();
    if (this.#isClientGone) this.#idle?.close();
    // Half of the connection may have been left: nobody is there to take what the client says.
    else this.#connection.close("flush");
  }

  #endByAge(): void {
    this.#parts.stats.maxDuration.inc();
    this.#connection.info.responseFlags.add("DT");
    this.#upstream?.close();
    this.#connection.close("reset", "max_downstream_connection_duration");
  }

  #finish(): void {
    this.#isClientGone = true;
    this.#abort.abort();
    for (const timer of this.#timers) timer.close();
    const upstream = this.#upstream;
    if (upstream === undefined || upstream.stream.destroyed) this.#idle?.close();
    else this.#flush(upstream);
  }

  /** The client is gone: what it has said still goes out, no longer than the idle timeout allows. */
  #flush(upstream: UpstreamConnection): void {
    const { stream } = upstream;
    if (stream.writableFinished || stream.writableLength === 0) {
      upstream.close();
      this.#idle?.close();
      return;
    }
    const { flushes, activeFlushes } = this.#parts.stats;
    flushes.inc();
    activeFlushes.inc();
    stream.once("close", () => activeFlushes.dec());
    stream.once("finish", () => upstream.close());
    stream.resume();
    if (!stream.writableEnded) stream.end();
  }

  #log(): void {
    this.#parts.plan.accessLog.log({ info: this.#connection.info });
  }
}
