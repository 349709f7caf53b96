/**
 * The authority of this process, loaded once for all who use it and looked at again whenever its store says so, and every
 * few seconds: an operator who puts another one in place need not restart anything. One that cannot be read leaves the
 * last good one in use; one with other roots signs only after these were distributed for a while (authority-change.ts).
 */
import { type Clock, formatInstant, type Timer } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import type { Authority } from "./authority.ts";
import { type AuthorityState, advanceAuthority, beginAuthority, deriveAuthority } from "./authority-change.ts";
import type { AuthorityStore } from "./authority-store.ts";

export interface LiveAuthority {
  /** The authority of now; the first call loads it, with the rejections of AuthorityStore.load. */
  load(signal?: AbortSignal): Promise<Authority>;
  /** Calls `run` with each authority that takes the place of a loaded one; the answer ends that. */
  onChange(run: (authority: Authority) => void): () => void;
  /** Looks at the store now; resolves when what it holds is in use. Never rejects. */
  refresh(): Promise<void>;
  /** No look any more. */
  stop(): void;
}

export interface LiveAuthorityOptions {
  readonly store: AuthorityStore;
  readonly clock: Clock;
  readonly log: Log;
  /** Time between two looks; ten seconds where not given. */
  readonly periodMs?: number;
  /** How long new roots are distributed before anything is signed below them; a day where not given. */
  readonly overlapMs?: number;
  /** The longest life of an issued certificate; 90 days where not given. */
  readonly leafLifetimeMs?: number;
}

const dayMs = 24 * 3_600_000;
const [defaultPeriodMs, defaultOverlapMs, defaultLeafLifetimeMs] = [10_000, dayMs, 90 * dayMs];

export function createLiveAuthority(options: LiveAuthorityOptions): LiveAuthority {
  return new Reloading(options);
}

class Reloading implements LiveAuthority {
  readonly #options: LiveAuthorityOptions;
  readonly #log: Log;
  readonly #listeners = new Set<(authority: Authority) => void>();
  readonly #stopping = new AbortController();
  #state: AuthorityState | undefined;
  #current: Authority | undefined;
  #loading: Promise<Authority> | undefined;
  #timer: Timer | undefined;
  #looking: Promise<void> | undefined;
  #endWatch: () => void = () => undefined;
  #lastProblem = "";

  constructor(options: LiveAuthorityOptions) {
    this.#options = options;
    this.#log = options.log.child({ component: "ca" });
  }

  async load(signal?: AbortSignal): Promise<Authority> {
    if (this.#current !== undefined) return this.#current;
    this.#loading ??= this.#options.store.load(this.#stopping.signal).finally(() => {
      this.#loading = undefined;
    });
    const authority = await (signal === undefined ? this.#loading : abandonable(this.#loading, signal));
    if (this.#current === undefined) {
      this.#state = beginAuthority(authority);
      this.#current = authority;
      // In that order: what happens from here on is seen.
      this.#endWatch = this.#options.store.watch?.(() => void this.refresh()) ?? this.#endWatch;
      if (this.#stopping.signal.aborted) this.#endWatch();
      this.#plan();
    }
    return this.#current;
  }

  onChange(run: (authority: Authority) => void): () => void {
    this.#listeners.add(run);
    return () => void this.#listeners.delete(run);
  }

  async refresh(): Promise<void> {
    if (this.#state === undefined || this.#stopping.signal.aborted) return;
    // A look that is under way may have read what was there before.
    await this.#looking;
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
    await this.#looking;
  }

  stop(): void {
    this.#stopping.abort();
    this.#endWatch();
    this.#timer?.close();
  }

  #plan(): void {
    if (this.#stopping.signal.aborted) return;
    this.#timer?.close();
    this.#timer = this.#options.clock.after(this.#options.periodMs ?? defaultPeriodMs, () => void this.refresh());
  }

  async #look(): Promise<void> {
    try {
      const next = await this.#options.store.load(this.#stopping.signal);
      this.#lastProblem = "";
      if (this.#state !== undefined) this.#advance(this.#state, next);
    } catch (error: unknown) {
      if (this.#stopping.signal.aborted) return;
      const problem = error instanceof Error ? error.message : String(error);
      if (problem !== this.#lastProblem)
        this.#log.warn("the certificate authority cannot be read again; the last one stays", { error });
      this.#lastProblem = problem;
    }
    this.#plan();
  }

  #advance(state: AuthorityState, next: Authority): void {
    const { clock, overlapMs = defaultOverlapMs, leafLifetimeMs = defaultLeafLifetimeMs } = this.#options;
    const after = advanceAuthority(state, next, { nowMs: clock.now(), overlapMs, leafLifetimeMs });
    this.#state = after;
    const [before, current] = [this.#current, deriveAuthority(after)];
    if (before !== undefined && isSame(current, before)) return;
    this.#current = current;
    this.#report(before, after);
    for (const run of this.#listeners) run(current);
  }

  #report(before: Authority | undefined, { signing, staged }: AuthorityState): void {
    if (staged !== undefined)
      this.#log.info("another certificate authority was found; its roots are distributed before it signs", {
        signsAt: formatInstant(staged.signsAtMs),
      });
    else if (before?.certificate !== signing.certificate) this.#log.info("another certificate authority takes over");
    else this.#log.info("the roots or revocation lists of the certificate authority changed");
  }
}

function isSame(a: Authority, b: Authority): boolean {
  return (
    a.certificate === b.certificate &&
    a.chain === b.chain &&
    a.roots === b.roots &&
    a.crl === b.crl &&
    a.privateKey.reveal() === b.privateKey.reveal()
  );
}

/** The same promise, which rejects when the caller no longer waits. */
function abandonable<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value> {
  return new Promise((resolve, reject) => {
    const abandon = (): void => reject(signal.reason);
    if (signal.aborted) return abandon();
    signal.addEventListener("abort", abandon, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abandon));
  });
}
