/**
 * The authority of this process, loaded once for all who use it and looked at again now and then: an operator who puts
 * another one in place need not restart anything. One that cannot be read leaves the last good one in use.
 */
import type { Clock, Timer } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import type { Authority } from "./authority.ts";
import type { AuthorityStore } from "./authority-store.ts";

export interface LiveAuthority {
  /** The authority of now; the first call loads it, with the rejections of AuthorityStore.load. */
  load(signal?: AbortSignal): Promise<Authority>;
  /** Calls `run` with each authority that takes the place of a loaded one; the answer ends that. */
  onChange(run: (authority: Authority) => void): () => void;
  /** No look any more. */
  stop(): void;
}

export interface LiveAuthorityOptions {
  readonly store: AuthorityStore;
  readonly clock: Clock;
  readonly log: Log;
  /** Time between two looks; a minute where not given. */
  readonly periodMs?: number;
}

const defaultPeriodMs = 60_000;

export function createLiveAuthority(options: LiveAuthorityOptions): LiveAuthority {
  return new Reloading(options);
}

class Reloading implements LiveAuthority {
  readonly #options: LiveAuthorityOptions;
  readonly #log: Log;
  readonly #listeners = new Set<(authority: Authority) => void>();
  readonly #stopping = new AbortController();
  #current: Authority | undefined;
  #loading: Promise<Authority> | undefined;
  #timer: Timer | undefined;
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
      this.#current = authority;
      this.#plan();
    }
    return this.#current;
  }

  onChange(run: (authority: Authority) => void): () => void {
    this.#listeners.add(run);
    return () => void this.#listeners.delete(run);
  }

  stop(): void {
    this.#stopping.abort();
    this.#timer?.close();
  }

  #plan(): void {
    if (this.#stopping.signal.aborted) return;
    this.#timer = this.#options.clock.after(this.#options.periodMs ?? defaultPeriodMs, () => void this.#look());
  }

  async #look(): Promise<void> {
    try {
      const next = await this.#options.store.load(this.#stopping.signal);
      this.#lastProblem = "";
      if (this.#current !== undefined && !isSame(next, this.#current)) {
        this.#current = next;
        this.#log.info("another certificate authority takes over");
        for (const run of this.#listeners) run(next);
      }
    } catch (error: unknown) {
      if (this.#stopping.signal.aborted) return;
      const problem = error instanceof Error ? error.message : String(error);
      if (problem !== this.#lastProblem)
        this.#log.warn("the certificate authority cannot be read again; the last one stays", { error });
      this.#lastProblem = problem;
    }
    this.#plan();
  }
}

function isSame(a: Authority, b: Authority): boolean {
  return (
    a.certificate === b.certificate &&
    a.chain === b.chain &&
    a.roots === b.roots &&
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
