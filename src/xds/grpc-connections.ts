/** Connections of a gRPC server: dead ones are noticed, old ones asked to reconnect, all of them ended when it stops. */
import type { Clock, Timer } from "../lib/clock.ts";
import type { GrpcConnection } from "./grpc-connection.ts";

export interface ConnectionLimits {
  /** A connection is asked so often whether it is alive, in milliseconds. */
  readonly keepaliveIntervalMs: number;
  /** It must answer within this time. */
  readonly keepaliveTimeoutMs: number;
  /** Connections are asked to reconnect after this time; undefined: never. */
  readonly maxConnectionAgeMs: number | undefined;
}

/** What an old connection gets after it was asked to go (istiod: MaxServerConnectionAgeGrace). */
const ageGraceMs = 10_000;

/** Ages differ by up to a tenth, so that connections that came at once do not go at once. */
const ageSpread = 0.1;

export class GrpcConnections {
  readonly #limits: ConnectionLimits;
  readonly #clock: Clock;
  readonly #connections = new Set<GrpcConnection>();
  #onEmpty: (() => void) | undefined;

  constructor(limits: ConnectionLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
  }

  add(connection: GrpcConnection): void {
    this.#connections.add(connection);
    const timers = [this.#keepAlive(connection), this.#limitAge(connection)];
    connection.whenGone(() => {
      for (const timer of timers) timer?.close();
      this.#connections.delete(connection);
      if (this.#connections.size === 0) this.#onEmpty?.();
    });
  }

  /** Asks all to go, waits at most `graceMs` for their streams to end, then ends them. */
  async stop(graceMs: number): Promise<void> {
    for (const connection of this.#connections) connection.close();
    if (this.#connections.size === 0) return;
    await new Promise<void>((resolve) => {
      const force = this.#clock.after(graceMs, () => {
        for (const connection of this.#connections) connection.destroy();
      });
      this.#onEmpty = () => {
        force.close();
        resolve();
      };
    });
  }

  #keepAlive(connection: GrpcConnection): Timer {
    const { keepaliveIntervalMs, keepaliveTimeoutMs } = this.#limits;
    let dead: Timer | undefined;
    const asking = this.#clock.every(keepaliveIntervalMs, () => {
      if (dead !== undefined) return;
      dead = this.#clock.after(keepaliveTimeoutMs, () => connection.destroy());
      connection.ping(() => {
        dead?.close();
        dead = undefined;
      });
    });
    return {
      close: () => {
        asking.close();
        dead?.close();
      },
    };
  }

  #limitAge(connection: GrpcConnection): Timer | undefined {
    const { maxConnectionAgeMs } = this.#limits;
    if (maxConnectionAgeMs === undefined) return undefined;
    const ageMs = maxConnectionAgeMs * (1 + ageSpread * (2 * Math.random() - 1));
    return this.#clock.after(ageMs, () => {
      connection.close();
      const force = this.#clock.after(ageGraceMs, () => connection.destroy());
      connection.whenGone(() => force.close());
    });
  }
}
