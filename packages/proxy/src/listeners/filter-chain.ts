import { durationToMs, encode, unpackAs } from "@meltemi/protos";
import type { TransportSocket } from "@meltemi/protos/envoy/config/core/v3";
import type { FilterChain as WireChain } from "@meltemi/protos/envoy/config/listener/v3";
import type { ListenerEnv } from "../config/env.ts";
import type { Timer } from "../lib/clock.ts";
import { ConfigError, within } from "../lib/config-error.ts";
import { compileNetworkFilters } from "../network/compile-filters.ts";
import type { NetworkFilter } from "../network/types.ts";
import { compileDownstreamTls } from "../tls/downstream.ts";
import type { DownstreamTls } from "../tls/types.ts";
import type { Connection } from "./downstream-connection.ts";

/**
 * A filter chain with all of its connections. A listener that is updated hands on those chains that stay as they are, so
 * that a change of one port does not end the connections of another.
 */
export class FilterChain {
  readonly wire: WireChain;
  /** What it says, as bytes: equal for equal chains. */
  readonly key: string;
  readonly tls: DownstreamTls | undefined;
  readonly filters: readonly NetworkFilter[];
  /** For the TLS handshake; 0 for none. */
  readonly connectTimeoutMs: number;
  /** Resolves when all is there that connections need. */
  readonly ready: Promise<unknown>;
  readonly connections = new Set<Connection>();
  readonly #env: ListenerEnv;
  #drainTimer: Timer | undefined;
  #isDraining = false;
  #isClosed = false;

  /** Throws ConfigError. */
  constructor(wire: WireChain, env: ListenerEnv) {
    this.wire = wire;
    this.key = keyOfFilterChain(wire);
    this.#env = env;
    this.connectTimeoutMs = durationToMs(wire.transport_socket_connect_timeout) ?? 0;
    this.filters = compileNetworkFilters(wire.filters, env);
    try {
      this.tls = within("transport_socket", () => compileTransportSocket(wire.transport_socket, env));
    } catch (cause: unknown) {
      for (const filter of this.filters) filter.close?.();
      throw cause;
    }
    this.ready = Promise.all([this.tls?.ready, ...this.filters.map((filter) => filter.ready)]);
  }

  /** True from the moment on at which no new connection comes. */
  get isDraining(): boolean {
    return this.#isDraining;
  }

  add(connection: Connection): void {
    this.connections.add(connection);
    connection.onClose(() => {
      this.connections.delete(connection);
      if (this.#isDraining && this.connections.size === 0) this.close();
    });
  }

  /** Tells all connections to end; those that still live after `timeMs` are closed. */
  drain(timeMs: number): void {
    if (this.#isDraining) return;
    this.#isDraining = true;
    this.announceDrain();
    if (this.connections.size === 0) this.close();
    else this.#drainTimer = this.#env.clock.after(timeMs, () => this.close());
  }

  /** Tells all connections to end, and goes on. */
  announceDrain(): void {
    for (const filter of this.filters) filter.drain?.();
    for (const connection of [...this.connections]) connection.startDrain();
  }

  /** Ends all connections, and what the filters hold. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#drainTimer?.close();
    for (const connection of [...this.connections]) connection.close("reset", "listener_drained");
    for (const filter of this.filters) filter.close?.();
    this.tls?.close();
  }
}

export function keyOfFilterChain(wire: WireChain): string {
  return Buffer.from(encode("envoy.config.listener.v3.FilterChain", wire)).toString("latin1");
}

const prefix = "envoy.extensions.transport_sockets";

function compileTransportSocket(wire: TransportSocket | undefined, env: ListenerEnv): DownstreamTls | undefined {
  if (wire === undefined || wire.name === "envoy.transport_sockets.raw_buffer") return undefined;
  const { typed_config: any } = wire;
  if (any !== undefined && unpackAs(`${prefix}.raw_buffer.v3.RawBuffer`, any) !== undefined) return undefined;
  const context = any === undefined ? undefined : unpackAs(`${prefix}.tls.v3.DownstreamTlsContext`, any);
  if (context === undefined) {
    throw new ConfigError(
      "typed_config",
      `the transport socket ${wire.name ?? ""} (${any?.type_url ?? ""}) is not supported`,
    );
  }
  return within("typed_config", () => compileDownstreamTls(context, env));
}
