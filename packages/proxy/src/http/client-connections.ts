import type { Timer } from "../lib/clock.ts";
import type { Closers } from "../lib/closers.ts";
import type { DownstreamConnection } from "../listeners/connection.ts";
import type { NetworkFilter } from "../network/types.ts";
import { ClientConnection } from "./client-connection.ts";
import type { Manager } from "./connection-manager-parts.ts";

/** Serves connections until its chain is gone. */
export class ClientConnections implements NetworkFilter {
  readonly ready: Promise<void>;
  readonly #manager: Manager;
  readonly #closers: Closers;
  readonly #clients = new Set<ClientConnection>();
  #sweeper: Timer | undefined;

  constructor(manager: Manager, ready: Promise<unknown>, closers: Closers) {
    this.#manager = manager;
    this.#closers = closers;
    this.ready = ready.then(() => undefined);
  }

  serve(connection: DownstreamConnection): void {
    const client = new ClientConnection(this.#manager, connection, (ended) => this.#forget(ended));
    this.#clients.add(client);
    this.#sweeper ??= this.#manager.env.clock.every(this.#manager.settings.sweepMs, () => this.#sweep());
    client.start();
  }

  drain(): void {
    for (const client of this.#clients) client.drain();
  }

  close(): void {
    for (const client of [...this.#clients]) client.close();
    this.#sweeper?.close();
    this.#sweeper = undefined;
    this.#manager.deadlines.close();
    void this.#closers.close().catch((cause: unknown) => {
      this.#manager.env.log.error("A connection manager did not end cleanly", { cause });
    });
  }

  #sweep(): void {
    const now = this.#manager.env.clock.monotonic();
    for (const client of [...this.#clients]) client.sweep(now);
  }

  #forget(client: ClientConnection): void {
    this.#clients.delete(client);
    if (this.#clients.size > 0) return;
    this.#sweeper?.close();
    this.#sweeper = undefined;
  }
}
