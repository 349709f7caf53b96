/** Leader election by a Lease: one of several replicas does what only one may do. Serving proxies needs no leader. */
import type { KubeClient } from "../kube/kube-client.ts";
import { KubeApiError } from "../kube/kube-client.ts";
import type { Clock, Timer } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import {
  defaultLeaseLimits,
  initialState,
  isHolding,
  type LeaseLimits,
  type LeaseRecord,
  nextLookMs,
  noteLost,
  noteWritten,
  observeLease,
  planStep,
} from "./lease.ts";
import { buildLease, parseLease } from "./lease-object.ts";

export interface LeaderElectionOptions {
  readonly client: KubeClient;
  /** Of the Lease: the control plane's own. */
  readonly namespace: string;
  /** Of the Lease, such as "meltemi-leader". */
  readonly name: string;
  /** Who we are; must differ between any two processes, so a pod's name alone will not do. */
  readonly identity: string;
  readonly clock: Clock;
  /** Numbers from 0 to 1. */
  readonly random: () => number;
  readonly log: Log;
  readonly limits?: LeaseLimits;
}

export interface LeaderElection {
  /** Begins to take part; an API server that is not there is asked again and again. */
  start(): void;
  /** Gives the Lease back, so that another replica need not wait for its end, and takes no further part. */
  stop(): Promise<void>;
  /**
   * Whether this process leads at this very moment. Measured anew at each call, so that a process that was paused knows
   * at once: ask right before each write.
   */
  isLeader(): boolean;
  /** Counts the leaders so far, of which we are the last; undefined while not leading. */
  term(): number | undefined;
  /** Who leads as far as is known; "" for nobody. */
  leader(): string;
  /** Calls `listener` when this process begins or ceases to lead. Gives the function that ends it. */
  onChange(listener: (isLeader: boolean) => void): () => void;
}

/** Takes part in an election, from start() on. */
export function createLeaderElection(options: LeaderElectionOptions): LeaderElection {
  return new Election(options);
}

class Election implements LeaderElection {
  readonly #options: LeaderElectionOptions;
  readonly #limits: LeaseLimits;
  readonly #path: string;
  readonly #listeners = new Set<(isLeader: boolean) => void>();
  readonly #stopping = new AbortController();
  #state = initialState;
  #wasLeader = false;
  #isFailing = false;
  #isStarted = false;
  #running: Promise<void> = Promise.resolve();
  #lookTimer: Timer | undefined;
  #deadlineTimer: Timer | undefined;

  constructor(options: LeaderElectionOptions) {
    this.#options = options;
    this.#limits = options.limits ?? defaultLeaseLimits;
    this.#path = `/apis/coordination.k8s.io/v1/namespaces/${options.namespace}/leases`;
  }

  start(): void {
    if (this.#isStarted || this.#stopping.signal.aborted) return;
    this.#isStarted = true;
    this.#look();
  }

  async stop(): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    this.#stopping.abort();
    this.#lookTimer?.close();
    await this.#running;
    this.#deadlineTimer?.close();
    const held = this.isLeader() ? this.#state.record : undefined;
    // Whoever listens ceases before another can begin.
    this.#state = noteLost(this.#state);
    this.#tell();
    if (held !== undefined) await this.#release(held);
  }

  isLeader(): boolean {
    return isHolding(this.#state, this.#limits, this.#options.clock.monotonic());
  }

  term(): number | undefined {
    return this.isLeader() ? this.#state.record?.transitions : undefined;
  }

  leader(): string {
    return this.#state.record?.holder ?? "";
  }

  onChange(listener: (isLeader: boolean) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  #look(): void {
    this.#lookTimer = undefined;
    this.#running = this.#tryOnce().then(
      () => this.#noteAnswered(),
      (cause: unknown) => this.#noteFailed(cause),
    );
    void this.#running.then(() => {
      this.#tell();
      if (this.#stopping.signal.aborted) return;
      const { clock, random } = this.#options;
      const delayMs = nextLookMs(this.#state, this.#limits, { now: clock.monotonic(), random: random() });
      this.#lookTimer = clock.after(delayMs, () => this.#look());
    });
  }

  async #tryOnce(): Promise<void> {
    const { clock, identity } = this.#options;
    // A leader knows the Lease as it wrote it; all others look first.
    if (!this.isLeader()) {
      this.#state = noteLost(this.#state);
      this.#observe(await this.#get());
    }
    const step = planStep(this.#state, identity, clock.monotonic());
    if (step.kind === "wait" || this.#stopping.signal.aborted) return;
    try {
      await this.#write(step.kind === "create" ? undefined : step.over);
    } catch (cause) {
      if (!isConflict(cause)) throw cause;
      // Somebody else was faster, or touched the Lease: what it says now counts.
      this.#observe(await this.#get());
    }
  }

  #observe(record: LeaseRecord | undefined): void {
    const { clock, identity } = this.#options;
    this.#state = observeLease(this.#state, record, clock.monotonic());
    if (record?.holder !== identity) this.#state = noteLost(this.#state);
  }

  async #get(): Promise<LeaseRecord | undefined> {
    const { client, name } = this.#options;
    try {
      const { signal } = this.#stopping;
      return parseLease(await client.request({ path: `${this.#path}/${name}`, timeoutMs: this.#timeoutMs, signal }));
    } catch (cause) {
      if (cause instanceof KubeApiError && cause.status === 404) return undefined;
      throw cause;
    }
  }

  async #write(over: LeaseRecord | undefined): Promise<void> {
    const { client, clock, identity } = this.#options;
    const begunAt = clock.monotonic();
    const body = this.#build(identity, over, this.#limits.leaseMs);
    const target = over === undefined ? ({ method: "POST", path: this.#path } as const) : this.#put;
    // Never given up half way: what became of it must be known before the Lease is given back.
    const written = parseLease(await client.request({ ...target, body, timeoutMs: this.#timeoutMs }));
    this.#state = noteWritten(this.#state, written, { begunAt, now: clock.monotonic() });
    this.#startDeadline();
    this.#tell();
  }

  /** Failing to give it back costs the others only time. */
  async #release(held: LeaseRecord): Promise<void> {
    const { client, log } = this.#options;
    try {
      await client.request({ ...this.#put, body: this.#build("", held, 1000), timeoutMs: this.#limits.retryMs });
      log.info("gave leadership back");
    } catch (error) {
      log.warn("leadership could not be given back; it ends by itself", { error });
    }
  }

  get #put() {
    return { method: "PUT", path: `${this.#path}/${this.#options.name}` } as const;
  }

  #build(holder: string, over: LeaseRecord | undefined, durationMs: number): object {
    const { clock, name, namespace } = this.#options;
    return buildLease({ namespace, name, holder, durationMs, nowMs: clock.now(), over });
  }

  /** A request that hangs must leave time for another before leadership ends. */
  get #timeoutMs(): number {
    return this.#limits.renewDeadlineMs / 2;
  }

  #startDeadline(): void {
    const { clock, log } = this.#options;
    this.#deadlineTimer?.close();
    const { renewedAt = 0 } = this.#state;
    const leftMs = renewedAt + this.#limits.renewDeadlineMs - clock.monotonic();
    this.#deadlineTimer = clock.after(Math.max(0, leftMs), () => {
      if (this.isLeader()) {
        this.#startDeadline();
        return;
      }
      log.warn("leadership could not be renewed in time");
      this.#tell();
    });
  }

  #tell(): void {
    const isLeader = this.isLeader();
    if (isLeader === this.#wasLeader) return;
    this.#wasLeader = isLeader;
    this.#options.log.info(isLeader ? "leading" : "no longer leading", { leader: this.leader() });
    for (const listener of this.#listeners) listener(isLeader);
  }

  #noteAnswered(): void {
    if (this.#isFailing) this.#options.log.info("leader election works again");
    this.#isFailing = false;
  }

  #noteFailed(error: unknown): void {
    if (this.#stopping.signal.aborted) return;
    // Said once, not every two seconds.
    const report = this.#isFailing ? this.#options.log.debug : this.#options.log.warn;
    report("leader election failed; proxies are served all the same", { error });
    this.#isFailing = true;
  }
}

function isConflict(cause: unknown): boolean {
  return cause instanceof KubeApiError && cause.status === 409;
}
