import type { ConnectedProxy, HealthReport } from "../model/proxy-connections.ts";
import type { Registration } from "./registration.ts";

/** What this replica knows of one workload: its streams of now, and when the last ones ended. */
export class Workload {
  readonly registration: Registration;
  /** The last thing that its agent said of it, as long as it is not written. */
  health: HealthReport | undefined;
  /** Whether the mesh had what its entry is made of when it was looked at last. */
  isPrepared: boolean;
  readonly #connections = new Map<string, ConnectedProxy>();
  #connectedAtMs = 0;
  #disconnectedAtMs = 0;

  constructor(registration: Registration, isPrepared: boolean) {
    this.registration = registration;
    this.isPrepared = isPrepared;
  }

  get isConnected(): boolean {
    return this.#connections.size > 0;
  }

  get connections(): readonly ConnectedProxy[] {
    return [...this.#connections.values()];
  }

  /** When the newest stream began, also of those that have ended. */
  get connectedAtMs(): number {
    return this.#connectedAtMs;
  }

  get disconnectedAtMs(): number {
    return this.#disconnectedAtMs;
  }

  add(connection: ConnectedProxy): void {
    this.#connections.set(connection.id, connection);
    this.#connectedAtMs = Math.max(this.#connectedAtMs, connection.connectedAtMs);
  }

  /** False where it was none of its streams. */
  remove({ id }: ConnectedProxy, nowMs: number): boolean {
    const wasThere = this.#connections.delete(id);
    if (wasThere) this.#disconnectedAtMs = nowMs;
    return wasThere;
  }
}
