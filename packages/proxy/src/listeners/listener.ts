import type { Socket } from "node:net";
import type { Listener as WireListener } from "@meltemi/protos/envoy/config/listener/v3";
import type { AccessLogger } from "../access-log/types.ts";
import type { ListenerEnv } from "../config/env.ts";
import { serveConnection } from "../network/serve-connection.ts";
import { type AcceptedSocket, noteAcceptedSocket } from "./accepted-socket.ts";
import type { Address } from "./connection.ts";
import { Connection } from "./downstream-connection.ts";
import type { FilterChain } from "./filter-chain.ts";
import type { ListenerFilter } from "./inspectors/listener-filter.ts";
import type { ListenerPlan } from "./listener-plan.ts";
import type { ListenerStats } from "./listener-stats.ts";
import { type FilterOutcome, runListenerFilters } from "./run-listener-filters.ts";

export interface ListenerParts {
  readonly wire: WireListener;
  readonly origin: { readonly isStatic: boolean; readonly version: string };
  readonly plan: ListenerPlan;
  readonly env: ListenerEnv;
  readonly stats: ListenerStats;
  readonly filters: readonly ListenerFilter[];
  readonly chains: readonly FilterChain[];
  readonly findChain: (accepted: AcceptedSocket) => FilterChain | undefined;
  readonly accessLog: AccessLogger;
  /** Counts up over all listeners of a manager. */
  readonly nextConnectionId: () => number;
  /** The listener that serves an address, for connections that wanted to go there. */
  readonly findByAddress: (address: Address) => Listener | undefined;
}

/** One generation of a listener: what one version of its configuration says, for the connections accepted under it. */
export class Listener {
  readonly parts: ListenerParts;
  /** Sockets whose chain is not known yet. */
  readonly #pending = new Set<Socket>();
  readonly #limitKey: string;
  #isAnnouncingDrain = false;
  #successor: Listener | undefined;

  constructor(parts: ListenerParts) {
    this.parts = parts;
    this.#limitKey = `envoy.resource_limits.listener.${parts.plan.name}.connection_limit`;
  }

  get connectionCount(): number {
    return this.parts.chains.reduce((sum, chain) => sum + chain.connections.size, 0);
  }

  /** Takes a connection over from the socket that listens at `address`. */
  accept(socket: Socket, address: Address): void {
    const { stats, env } = this.parts;
    // Without a listener what goes wrong with one socket would end the process. It shows in its end all the same.
    socket.on("error", () => undefined);
    this.#noteRush(socket);
    if (stats.active.value >= env.runtime.number(this.#limitKey, Number.POSITIVE_INFINITY)) {
      stats.overflow.inc();
      socket.destroy();
      return;
    }
    if (!this.#takeFromBudget(socket)) return;
    this.#inspect(noteAcceptedSocket(socket, address), true);
  }

  #noteRush(socket: Socket): void {
    const { connectionRush: rush } = this.parts.env;
    if (rush === undefined) return;
    rush.note();
    socket.once("close", () => rush.note());
  }

  #takeFromBudget(socket: Socket): boolean {
    const { stats, plan, env } = this.parts;
    const { connectionBudget: budget } = env;
    if (budget === undefined || plan.ignoresGlobalLimit) return true;
    if (!budget.tryTake()) {
      stats.globalOverflow.inc();
      socket.destroy();
      return false;
    }
    socket.once("close", () => budget.free());
    return true;
  }

  /** Tells connections to end, those that come from now on too. */
  announceDrain(): void {
    this.#isAnnouncingDrain = true;
    for (const chain of this.parts.chains) chain.announceDrain();
  }

  /** Another one has taken its place: what has no chain yet gets one of that. */
  handOver(successor: Listener): void {
    this.#successor = successor;
  }

  /** Ends what has no chain yet. */
  closePending(): void {
    for (const socket of this.#pending) socket.destroy();
  }

  #inspect(accepted: AcceptedSocket, mayHandOff: boolean): void {
    const { filters, plan, stats, env } = this.parts;
    if (filters.length === 0) {
      this.#choose(accepted, mayHandOff);
      return;
    }
    const { socket } = accepted;
    this.#pending.add(socket);
    stats.preActive.inc();
    runListenerFilters(accepted, { clock: env.clock, filters, timeoutMs: plan.filtersTimeoutMs }, (outcome) => {
      this.#pending.delete(socket);
      stats.preActive.dec();
      if (this.#admits(outcome) && !socket.destroyed) this.#choose(accepted, mayHandOff);
      else this.#drop(accepted);
    });
  }

  #admits(outcome: FilterOutcome): boolean {
    const { stats, plan } = this.parts;
    if (outcome.kind === "closed") stats.filterError.inc();
    if (outcome.kind === "gone") stats.filterRemoteClose.inc();
    if (outcome.kind === "timeout") stats.preTimeout.inc();
    return outcome.kind === "admitted" || (outcome.kind === "timeout" && plan.continuesAfterTimeout);
  }

  #choose(accepted: AcceptedSocket, mayHandOff: boolean): void {
    if (this.#successor !== undefined) {
      this.#successor.#choose(accepted, mayHandOff);
      return;
    }
    const { plan, findByAddress, findChain } = this.parts;
    if (mayHandOff && plan.handsOffByOriginalDst && accepted.isLocalAddressRestored) {
      const other = findByAddress(accepted.localAddress);
      if (other !== undefined && other !== this) {
        other.#inspect(accepted, false);
        return;
      }
    }
    if (accepted.transportProtocol === "") accepted.transportProtocol = "raw_buffer";
    const chain = findChain(accepted);
    if (chain === undefined) this.#refuse(accepted);
    else this.#serve(accepted, chain);
  }

  #refuse(accepted: AcceptedSocket): void {
    this.parts.stats.noFilterChainMatch.inc();
    const { info } = this.#drop(accepted);
    info.responseFlags.add("NR");
    info.responseCodeDetails = "filter_chain_not_found";
  }

  /** Ends a connection that no chain has: it comes into the listener's log alone. */
  #drop(accepted: AcceptedSocket): Connection {
    const { accessLog, env, nextConnectionId } = this.parts;
    const connection = new Connection(nextConnectionId(), accepted, env.clock);
    connection.onClose(() => accessLog.log({ info: connection.info }));
    connection.close("reset");
    return connection;
  }

  #serve(accepted: AcceptedSocket, chain: FilterChain): void {
    const connection = this.#open(accepted);
    chain.add(connection);
    if (this.#isAnnouncingDrain || chain.isDraining) connection.startDrain();
    if (chain.tls === undefined) serveConnection(chain.filters, connection, this.parts.env.log);
    else this.#shakeHands(accepted.socket, chain, connection);
  }

  #open(accepted: AcceptedSocket): Connection {
    const { stats, accessLog, env, nextConnectionId } = this.parts;
    const connection = new Connection(nextConnectionId(), accepted, env.clock);
    stats.total.inc();
    stats.active.inc();
    connection.onClose(() => {
      stats.active.dec();
      stats.destroyed.inc();
      const { info } = connection;
      stats.lengthMs.record((info.endedAt ?? info.startedAt) - info.startedAt);
      // After the filters, which learn of the end after this: their figures are part of the line.
      process.nextTick(() => accessLog.log({ info }));
    });
    return connection;
  }

  #shakeHands(socket: Socket, chain: FilterChain, connection: Connection): void {
    const { stats, env } = this.parts;
    const timer =
      chain.connectTimeoutMs > 0
        ? env.clock.after(chain.connectTimeoutMs, () => {
            stats.transportTimeout.inc();
            connection.close("reset", "transport_socket_connect_timeout");
          })
        : undefined;
    const handshake = chain.tls?.accept(socket);
    handshake?.then(
      ({ stream, info }) => {
        timer?.close();
        connection.secure(stream, info);
        if (connection.isClosed) stream.destroy();
        else serveConnection(chain.filters, connection, env.log);
      },
      (cause: unknown) => {
        timer?.close();
        connection.close("reset", cause instanceof Error ? cause.message : String(cause));
      },
    );
  }
}
