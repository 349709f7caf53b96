import type { Caller } from "../lib/caller.ts";
import type { Clock } from "../lib/clock.ts";
import { RateLimit } from "../lib/rate-limit.ts";
import { formatSpiffeIdentity } from "../lib/spiffe.ts";

/** An agent asks once for half the life of a certificate; so much covers restarts and none that runs wild. */
const [perSecond, burst] = [5, 20];
/** Callers that are remembered; who is forgotten begins anew. */
const maxCallers = 10_000;
/** Longer than an identity can be. */
const maxKeyPart = 700;

/**
 * Bounds what each caller may ask for. A caller is an identity in a pod, or at an address where no pod is proven: replicas
 * of one workload share an identity, and hundreds may start at the same time.
 */
export class CallerLimits {
  readonly #clock: Clock;
  readonly #limits = new Map<string, RateLimit>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** False where the caller has asked too often; `peer` is the address with the port, `whom` somebody else they ask for, or "". */
  admit({ identity, pod }: Caller, peer: string, whom: string): boolean {
    const place = pod === undefined ? peer.slice(0, peer.lastIndexOf(":")) : pod.uid;
    const key = `${formatSpiffeIdentity(identity)} ${place} ${whom.slice(0, maxKeyPart)}`;
    const limit = this.#limits.get(key) ?? new RateLimit({ clock: this.#clock, perSecond, burst, maxWaitMs: 0 });
    // The one that asked last goes last, so that the one that is forgotten asked longest ago.
    this.#limits.delete(key);
    this.#limits.set(key, limit);
    const [oldest] = this.#limits.keys();
    if (this.#limits.size > maxCallers && oldest !== undefined) this.#limits.delete(oldest);
    return limit.reserve() === 0;
  }
}
