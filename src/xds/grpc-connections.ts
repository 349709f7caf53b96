/** Connections of a gRPC server: dead ones are noticed, old ones asked to reconnect, all of them ended when it stops. */
import type { ServerHttp2Session } from "node:http2";
import type { Clock, Timer } from "../lib/clock.ts";

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
  readonly #sessions = new Set<ServerHttp2Session>();
  #onEmpty: (() => void) | undefined;

  constructor(limits: ConnectionLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
  }

  add(session: ServerHttp2Session): void {
    this.#sessions.add(session);
    const timers = [this.#keepAlive(session), this.#limitAge(session)];
    session.once("close", () => {
      for (const timer of timers) timer?.close();
      this.#sessions.delete(session);
      if (this.#sessions.size === 0) this.#onEmpty?.();
    });
  }

  /** Asks all to go, waits at most `graceMs` for their streams to end, then ends them. */
  async stop(graceMs: number): Promise<void> {
    for (const session of this.#sessions) session.close();
    if (this.#sessions.size === 0) return;
    await new Promise<void>((resolve) => {
      const force = this.#clock.after(graceMs, () => {
        for (const session of this.#sessions) session.destroy();
      });
      this.#onEmpty = () => {
        force.close();
        resolve();
      };
    });
  }

  #keepAlive(session: ServerHttp2Session): Timer {
    const { keepaliveIntervalMs, keepaliveTimeoutMs } = this.#limits;
    return this.#clock.every(keepaliveIntervalMs, () => {
      if (session.destroyed) return;
      const dead = this.#clock.after(keepaliveTimeoutMs, () => session.destroy());
      // False where too many are under way: those decide.
      if (!session.ping(() => dead.close())) dead.close();
    });
  }

  #limitAge(session: ServerHttp2Session): Timer | undefined {
    const { maxConnectionAgeMs } = this.#limits;
    if (maxConnectionAgeMs === undefined) return undefined;
    const ageMs = maxConnectionAgeMs * (1 + ageSpread * (2 * Math.random() - 1));
    return this.#clock.after(ageMs, () => {
      session.close();
      const force = this.#clock.after(ageGraceMs, () => session.destroy());
      session.once("close", () => force.close());
    });
  }
}
