/** Listeners as the xDS side uses them. */
import type { Listener } from "@meltemi/protos/envoy/config/listener/v3";
import type { StatsRegistry } from "../lib/stats-registry.ts";
import type { Address } from "./connection.ts";

export interface ListenerManager {
  /**
   * Compiles a listener and warms it (secrets, route tables, extension configurations): resolves when it serves in the
   * place of the one of its name. Until then, and where it cannot be used, that one goes on. Throws ConfigError at once
   * for what cannot be used, rejects where the address cannot be bound.
   */
  update(listener: Listener, origin: { readonly isStatic: boolean; readonly version: string }): Promise<void>;
  /** Drains and ends. */
  remove(name: string): Promise<void>;
  list(): readonly ActiveListener[];
  /** Listeners that wait for something, by name: for /config_dump and readiness. */
  warming(): readonly string[];
  /** Stops accepting (or only marks connections as draining where `keepsListening`), connections are told. */
  drain(options: {
    readonly isInboundOnly: boolean;
    readonly isGraceful: boolean;
    readonly keepsListening: boolean;
  }): void;
  /** Takes the statistics of listeners off the pages that were removed and have no connections any more. */
  sweepStats(stats: Pick<StatsRegistry, "forget">): void;
  close(): Promise<void>;
}

export interface ActiveListener {
  readonly name: string;
  readonly wire: Listener;
  readonly version: string;
  readonly isStatic: boolean;
  /** Where it listens: more than one with additional_addresses; none where bind_to_port is off. */
  readonly addresses: readonly Address[];
  readonly connections: number;
}
