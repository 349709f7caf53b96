/** Keeps the ConfigMaps of root-distribution.ts right: one write at a time, not faster than a limit, again after failures. */
import { KubeApiError, type KubeClient } from "../kube/kube-client.ts";
import { RateLimiter } from "../kube/rate-limiter.ts";
import type { Clock, Timer } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import { type ConfigMapWrite, type DistributedText, type FoundConfigMap, planConfigMap } from "./root-distribution.ts";

export interface RootDistributorOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Log;
  /** Asked right before each write. */
  readonly isLeader: () => boolean;
  readonly writesPerSecond?: number;
  readonly burst?: number;
}

export interface RootDistributor {
  /** The namespaces that are served, and what each is to have. */
  setWanted(namespaces: readonly string[], texts: readonly DistributedText[]): void;
  /** What the API server holds now; undefined where it holds none. */
  noteFound(namespace: string, name: string, found: FoundConfigMap | undefined): void;
  /** From here on it writes; before, what is found is noted only. */
  start(): void;
  /** Resolves when nothing is being written any more. */
  stop(): Promise<void>;
  /** Whether every namespace has what is wanted, but for those where the API server does not let it be written. */
  isSettled(): boolean;
}

const [defaultPerSecond, defaultBurst] = [20, 50];
const [firstRetryMs, longestRetryMs, refusedRetryMs] = [500, 30_000, 60_000];

export function createRootDistributor(options: RootDistributorOptions): RootDistributor {
  return new Distributor(options);
}

/** A write that is to be made, and how often it failed. */
interface Pending {
  readonly namespace: string;
  readonly text: DistributedText;
  readonly dueAt: number;
  readonly attempts: number;
  /** The API server said that it will not be, such as in a namespace that is being deleted. */
  readonly isRefused: boolean;
}

class Distributor implements RootDistributor {
  readonly #options: RootDistributorOptions;
  readonly #log: Log;
  readonly #limiter: RateLimiter;
  readonly #found = new Map<string, FoundConfigMap>();
  readonly #pending = new Map<string, Pending>();
  #namespaces: ReadonlySet<string> = new Set();
  #texts: readonly DistributedText[] = [];
  #isStarted = false;
  #timer: Timer | undefined;
  #running: Promise<void> | undefined;
  #lastProblem = "";

  constructor(options: RootDistributorOptions) {
    const { clock, log, writesPerSecond: perSecond = defaultPerSecond, burst = defaultBurst } = options;
    this.#options = options;
    this.#log = log.child({ component: "ca" });
    this.#limiter = new RateLimiter({ clock, perSecond, burst });
  }

  setWanted(namespaces: readonly string[], texts: readonly DistributedText[]): void {
    this.#namespaces = new Set(namespaces);
    this.#texts = texts;
    for (const { namespace, text } of this.#pending.values())
      if (!this.#namespaces.has(namespace) || !texts.includes(text)) this.#pending.delete(keyOf(namespace, text.name));
    for (const namespace of namespaces) for (const text of texts) this.#compare(namespace, text);
    this.#wake();
  }

  noteFound(namespace: string, name: string, found: FoundConfigMap | undefined): void {
    if (found === undefined) this.#found.delete(keyOf(namespace, name));
    else this.#found.set(keyOf(namespace, name), found);
    const text = this.#texts.find((each) => each.name === name);
    if (text === undefined || !this.#namespaces.has(namespace)) return;
    this.#compare(namespace, text);
    this.#wake();
  }

  start(): void {
    this.#isStarted = true;
    this.#wake();
  }

  async stop(): Promise<void> {
    this.#isStarted = false;
    this.#timer?.close();
    await this.#running;
  }

  isSettled(): boolean {
    const { isLeader } = this.#options;
    if (!this.#isStarted || this.#texts.length === 0 || this.#running !== undefined || !isLeader()) return false;
    return [...this.#pending.values()].every(({ isRefused }) => isRefused);
  }

  #plan(namespace: string, text: DistributedText): ConfigMapWrite | undefined {
    return planConfigMap(text, namespace, this.#found.get(keyOf(namespace, text.name)));
  }

  #compare(namespace: string, text: DistributedText): void {
    const key = keyOf(namespace, text.name);
    if (this.#plan(namespace, text) === undefined) this.#pending.delete(key);
    else if (!this.#pending.has(key))
      this.#pending.set(key, { namespace, text, dueAt: 0, attempts: 0, isRefused: false });
  }

  #wake(): void {
    if (!this.#isStarted || this.#running !== undefined) return;
    this.#timer?.close();
    this.#running = this.#writeAll().finally(() => {
      this.#running = undefined;
      this.#sleep();
    });
  }

  /** Until the first of those that failed is due again. */
  #sleep(): void {
    if (!this.#isStarted || this.#pending.size === 0) return;
    const { clock } = this.#options;
    const dueAt = Math.min(...[...this.#pending.values()].map((each) => each.dueAt));
    this.#timer = clock.after(Math.max(dueAt - clock.monotonic(), 0), () => this.#wake());
  }

  /** Never rejects. */
  async #writeAll(): Promise<void> {
    for (;;) {
      const nowMs = this.#options.clock.monotonic();
      const next = [...this.#pending.values()].find(({ dueAt }) => dueAt <= nowMs);
      if (next === undefined || !this.#isStarted) return;
      await this.#limiter.take();
      if (this.#isStarted) await this.#writeOne(next);
    }
  }

  async #writeOne(pending: Pending): Promise<void> {
    const { namespace, text, attempts } = pending;
    const key = keyOf(namespace, text.name);
    if (this.#pending.get(key) !== pending) return;
    const write = this.#options.isLeader() ? this.#plan(namespace, text) : undefined;
    this.#pending.delete(key);
    if (write === undefined) return;
    try {
      const found = await this.#send(namespace, text.name, write);
      // What the watch tells later is newer, or the same.
      this.#found.set(key, found);
      this.#compare(namespace, this.#texts.find(({ name }) => name === text.name) ?? text);
    } catch (error: unknown) {
      if (this.#mend(key, error)) return this.#compare(namespace, text);
      const isRefused = error instanceof KubeApiError && [403, 404, 422].includes(error.status);
      const retryMs = isRefused ? refusedRetryMs : Math.min(firstRetryMs * 2 ** attempts, longestRetryMs);
      const dueAt = this.#options.clock.monotonic() + retryMs;
      this.#pending.set(key, { ...pending, dueAt, attempts: attempts + 1, isRefused });
      this.#report(`${namespace}/${text.name}`, error);
    }
  }

  /** True where what we knew was old: it was made, or deleted, meanwhile. */
  #mend(key: string, error: unknown): boolean {
    if (!(error instanceof KubeApiError)) return false;
    if (error.status === 409 && error.reason === "AlreadyExists" && !this.#found.has(key)) {
      this.#found.set(key, { labels: {}, data: {} });
      return true;
    }
    return error.status === 404 && this.#found.delete(key);
  }

  async #send(namespace: string, name: string, { kind, body }: ConfigMapWrite): Promise<FoundConfigMap> {
    const { client } = this.#options;
    const path = `/api/v1/namespaces/${namespace}/configmaps`;
    const answer =
      kind === "create"
        ? await client.request({ method: "POST", path, body })
        : await client.request({
            ...{ method: "PATCH", path: `${path}/${name}`, body },
            contentType: "application/merge-patch+json",
          });
    const metadata = readField(answer, "metadata");
    return { labels: readTexts(readField(metadata, "labels")), data: readTexts(readField(answer, "data")) };
  }

  #report(configMap: string, error: unknown): void {
    const problem = error instanceof Error ? error.message : String(error);
    if (problem !== this.#lastProblem) this.#log.warn("roots cannot be written into a namespace", { configMap, error });
    this.#lastProblem = problem;
  }
}

const keyOf = (namespace: string, name: string): string => `${namespace}/${name}`;

function readField(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null && Object.hasOwn(value, key) ? Reflect.get(value, key) : undefined;
}

function readTexts(value: unknown): Readonly<Record<string, string>> {
  const entries = typeof value === "object" && value !== null ? Object.entries(value) : [];
  return Object.fromEntries(entries.filter((entry): entry is [string, string] => typeof entry[1] === "string"));
}
