import type { Listener as WireListener } from "@meltemi/protos/envoy/config/listener/v3";
import type { ProxyEnv } from "../config/env.ts";
import type { Timer } from "../lib/clock.ts";
import { ConfigError } from "../lib/config-error.ts";
import { cleanPrefix } from "../lib/stat-owner.ts";
import type { Stats } from "../lib/stats.ts";
import type { StatsRegistry } from "../lib/stats-registry.ts";
import { compileListener, hashOfListener } from "./compile-listener.ts";
import { type Address, formatAddress } from "./connection.ts";
import { ListenSocket } from "./listen-socket.ts";
import type { Listener } from "./listener.ts";
import type { ListenAddress } from "./listener-plan.ts";
import type { ActiveListener, ListenerManager } from "./types.ts";

export interface ListenerManagerOptions {
  /** How long connections of a listener that is gone may go on, in milliseconds: Envoy's --drain-time-s, 600 s. */
  readonly drainTimeMs?: number;
}

export function createListenerManager(env: ProxyEnv, options: ListenerManagerOptions = {}): ListenerManager {
  return new Listeners(env, options.drainTimeMs ?? 600_000);
}

/** A listener by its name, with the sockets that it listens on and the generation that is not ready yet. */
interface Entry {
  readonly name: string;
  active: Listener | undefined;
  warming: Listener | undefined;
  /** By the address as it was asked for. */
  sockets: ReadonlyMap<string, ListenSocket>;
}

type Origin = Listener["parts"]["origin"];

class Listeners implements ListenerManager {
  readonly #env: ProxyEnv;
  readonly #drainTimeMs: number;
  readonly #stats: ReturnType<typeof createManagerStats>;
  readonly #entries = new Map<string, Entry>();
  /** Generations that no new connection comes to. */
  readonly #draining = new Set<Listener>();
  /** Removed, with statistics that are still shown. */
  readonly #removed = new Set<Listener>();
  readonly #drainTimers: Timer[] = [];
  #lastConnectionId = 0;
  #isStopped = false;

  constructor(env: ProxyEnv, drainTimeMs: number) {
    this.#env = env;
    this.#drainTimeMs = drainTimeMs;
    this.#stats = createManagerStats(env.stats.scope("listener_manager"));
  }

  update(wire: WireListener, origin: Origin): Promise<void> {
    const listener = this.#compile(wire, origin);
    return listener === undefined ? Promise.resolve() : this.#warm(listener);
  }

  async #warm(listener: Listener): Promise<void> {
    const { name } = listener.parts.plan;
    const entry = this.#entries.get(name) ?? { name, active: undefined, warming: undefined, sockets: new Map() };
    this.#entries.set(name, entry);
    if (entry.warming !== undefined) this.#discard(entry.warming, listener);
    (entry.active === undefined && entry.warming === undefined ? this.#stats.added : this.#stats.modified).inc();
    entry.warming = listener;
    this.#count();
    await Promise.all(listener.parts.chains.map((chain) => chain.ready));
    if (entry.warming !== listener) return;
    await this.#activate(entry, listener);
  }

  /** Undefined where nothing has changed. */
  #compile(wire: WireListener, origin: Origin): Listener | undefined {
    const entry = this.#entries.get(wire.name ?? "");
    const latest = entry?.warming ?? entry?.active;
    if (latest !== undefined && hashOfListener(latest.parts.wire) === hashOfListener(wire)) return undefined;
    if (latest?.parts.origin.isStatic === true && !origin.isStatic) {
      throw new ConfigError("name", `the listener ${wire.name ?? ""} is static and cannot be changed`);
    }
    const listener = compileListener({
      wire,
      origin,
      env: this.#env,
      previous: entry?.active,
      nextConnectionId: () => {
        this.#lastConnectionId += 1;
        return this.#lastConnectionId;
      },
      findByAddress: (address) => this.#findByAddress(address),
    });
    try {
      this.#refuseSharedAddress(listener);
    } catch (cause: unknown) {
      this.#discard(listener, entry?.active);
      throw cause;
    }
    return listener;
  }

  #refuseSharedAddress({ parts: { plan } }: Listener): void {
    for (const { address } of plan.addresses) {
      const key = formatAddress(address);
      // Several may ask for any free port.
      if (address.port === 0 && !address.ip.includes("/")) continue;
      for (const other of this.#entries.values()) {
        const taken = (other.warming ?? other.active)?.parts.plan.addresses ?? [];
        if (other.name === plan.name || !taken.some((each) => formatAddress(each.address) === key)) continue;
        throw new ConfigError("address", `duplicate address '${key}' as existing listener '${other.name}'`);
      }
    }
  }

  /** Lets a generation that is ready serve in the place of the one before. */
  async #activate(entry: Entry, listener: Listener): Promise<void> {
    const { sockets, opened } = await this.#openSockets(entry, listener);
    if (entry.warming !== listener) {
      for (const socket of opened) socket.close();
      return;
    }
    const previous = entry.active;
    for (const [key, socket] of entry.sockets) if (sockets.get(key) !== socket) socket.close();
    for (const socket of sockets.values()) socket.owner = (accepted) => listener.accept(accepted, socket.address);
    entry.sockets = sockets;
    entry.active = listener;
    entry.warming = undefined;
    this.#stats.createSuccess.inc();
    if (previous !== undefined) {
      previous.handOver(listener);
      this.#drainListener(previous, listener);
    }
    this.#count();
  }

  async #openSockets(
    entry: Entry,
    listener: Listener,
  ): Promise<{ readonly sockets: ReadonlyMap<string, ListenSocket>; readonly opened: readonly ListenSocket[] }> {
    const { plan } = listener.parts;
    const sockets = new Map<string, ListenSocket>();
    const opened: ListenSocket[] = [];
    if (!plan.isBound || this.#isStopped) return { sockets, opened };
    try {
      for (const wanted of plan.addresses) {
        const key = keyOfAddress(wanted);
        const known = entry.sockets.get(key);
        const socket =
          known ?? (await ListenSocket.open(wanted, plan, (accepted) => listener.accept(accepted, wanted.address)));
        if (known === undefined) opened.push(socket);
        sockets.set(sockets.has(key) ? `${key} ${sockets.size}` : key, socket);
      }
    } catch (cause: unknown) {
      for (const socket of opened) socket.close();
      this.#stats.createFailure.inc();
      if (entry.warming === listener) {
        entry.warming = undefined;
        if (entry.active === undefined) this.#entries.delete(entry.name);
        this.#discard(listener, entry.active);
        this.#count();
      }
      throw cause;
    }
    return { sockets, opened };
  }

  /** Frees a generation that has never served, but for chains that `keeper` has too. */
  #discard(listener: Listener, keeper: Listener | undefined): void {
    const active = this.#entries.get(listener.parts.plan.name)?.active;
    const kept = new Set([...(keeper?.parts.chains ?? []), ...(active?.parts.chains ?? [])]);
    for (const chain of listener.parts.chains) if (!kept.has(chain)) chain.close();
    listener.parts.accessLog.close();
  }

  #drainListener(listener: Listener, successor: Listener | undefined): void {
    const kept = new Set(successor?.parts.chains ?? []);
    const leaving = listener.parts.chains.filter((chain) => !kept.has(chain));
    if (successor === undefined) listener.closePending();
    for (const chain of leaving) chain.drain(this.#drainTimeMs);
    const connections = leaving.flatMap((chain) => [...chain.connections]);
    if (connections.length === 0) {
      this.#forget(listener);
      return;
    }
    this.#draining.add(listener);
    let left = connections.length;
    for (const connection of connections) {
      connection.onClose(() => {
        left -= 1;
        if (left === 0) this.#forget(listener);
      });
    }
  }

  #forget(listener: Listener): void {
    this.#draining.delete(listener);
    // After the lines of the last connections.
    process.nextTick(() => process.nextTick(() => listener.parts.accessLog.close()));
    this.#count();
  }

  async remove(name: string): Promise<void> {
    const entry = this.#entries.get(name);
    if (entry === undefined) return;
    this.#entries.delete(name);
    this.#stats.removed.inc();
    const { active, warming } = entry;
    entry.warming = undefined;
    if (warming !== undefined) this.#discard(warming, active);
    for (const socket of entry.sockets.values()) socket.close();
    if (active !== undefined) {
      this.#removed.add(active);
      this.#drainListener(active, undefined);
    }
    this.#count();
  }

  sweepStats(stats: Pick<StatsRegistry, "forget">): void {
    const over = [...this.#removed].filter((listener) => !this.#draining.has(listener));
    if (over.length === 0) return;
    for (const listener of over) this.#removed.delete(listener);
    const living = [...this.#draining];
    for (const { active, warming } of this.#entries.values()) {
      for (const each of [active, warming]) if (each !== undefined) living.push(each);
    }
    const prefixes = new Set(living.map(statPrefixOf));
    stats.forget(over.map(statPrefixOf), (prefix) => prefixes.has(prefix));
  }

  list(): readonly ActiveListener[] {
    const listeners: ActiveListener[] = [];
    for (const { name, active, sockets } of this.#entries.values()) {
      if (active === undefined) continue;
      const { wire, origin } = active.parts;
      const addresses = [...sockets.values()].map(({ address }) => address);
      listeners.push({ name, wire, ...origin, addresses, connections: active.connectionCount });
    }
    return listeners;
  }

  warming(): readonly string[] {
    return [...this.#entries.values()].filter(({ warming }) => warming !== undefined).map(({ name }) => name);
  }

  drain(options: Parameters<ListenerManager["drain"]>[0]): void {
    const chosen = [...this.#entries.values()].filter(
      ({ active }) => !options.isInboundOnly || active?.parts.plan.direction === "INBOUND",
    );
    if (options.isGraceful || options.keepsListening) {
      for (const { active } of chosen) {
        // Such a listener drains when its configuration changes, and for nothing else.
        if (active?.parts.plan.drainsOnlyWhenModified === false) active.announceDrain();
      }
    }
    if (options.keepsListening) return;
    const stop = (): void => {
      if (!options.isInboundOnly) this.#isStopped = true;
      for (const entry of chosen) {
        for (const socket of entry.sockets.values()) socket.close();
        entry.sockets = new Map();
        this.#stats.stopped.inc();
      }
    };
    if (options.isGraceful) this.#drainTimers.push(this.#env.clock.after(this.#drainTimeMs, stop));
    else stop();
  }

  async close(): Promise<void> {
    this.#isStopped = true;
    for (const timer of this.#drainTimers.splice(0)) timer.close();
    const listeners = [...this.#draining];
    for (const entry of this.#entries.values()) {
      for (const socket of entry.sockets.values()) socket.close();
      for (const listener of [entry.active, entry.warming]) if (listener !== undefined) listeners.push(listener);
      entry.warming = undefined;
    }
    this.#entries.clear();
    for (const listener of listeners) {
      listener.closePending();
      for (const chain of listener.parts.chains) chain.close();
      listener.parts.accessLog.close();
    }
    this.#draining.clear();
  }

  /** The listener of exactly this address, or of its port on all addresses. */
  #findByAddress({ ip, port }: Address): Listener | undefined {
    let wildcard: Listener | undefined;
    for (const { active } of this.#entries.values()) {
      for (const { address } of active?.parts.plan.addresses ?? []) {
        if (address.port !== port) continue;
        if (address.ip === ip) return active;
        if (address.ip === "0.0.0.0" || address.ip === "::") wildcard ??= active;
      }
    }
    return wildcard;
  }

  #count(): void {
    const entries = [...this.#entries.values()];
    this.#stats.active.set(entries.filter(({ active }) => active !== undefined).length);
    this.#stats.warming.set(entries.filter(({ warming }) => warming !== undefined).length);
    this.#stats.draining.set(this.#draining.size);
  }
}

function statPrefixOf({ parts: { plan } }: Listener): string {
  return cleanPrefix(`listener.${plan.statName}`);
}

function keyOfAddress({ address, isIpv6Only }: ListenAddress): string {
  return `${formatAddress(address)}${isIpv6Only ? " only" : ""}`;
}

function createManagerStats(stats: Stats) {
  return {
    added: stats.counter("listener_added"),
    modified: stats.counter("listener_modified"),
    removed: stats.counter("listener_removed"),
    stopped: stats.counter("listener_stopped"),
    createSuccess: stats.counter("listener_create_success"),
    createFailure: stats.counter("listener_create_failure"),
    active: stats.gauge("total_listeners_active"),
    warming: stats.gauge("total_listeners_warming"),
    draining: stats.gauge("total_listeners_draining"),
  };
}
