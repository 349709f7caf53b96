/** Many simulated proxies, and a record of when each received what. */
import { DigestCache } from "./digest-cache.ts";
import { type Condition, Expectation } from "./expectation.ts";
import { buildNode, type ProxyGroup } from "./proxy-group.ts";
import { nowMs, type ReceivedResponse, SimulatedProxy } from "./simulated-proxy.ts";
import { type PerType, type ShortType, shortTypes, type Variant } from "./types.ts";

/** What came in since the last reading. */
export interface FleetReading {
  /** By the names of groups, messages alone. */
  readonly bytes: Readonly<Record<string, number>>;
  readonly messages: PerType;
  readonly resources: PerType;
  /** Streams that there are. */
  readonly connected: number;
  /** Streams that the server ended. */
  readonly ended: number;
}

export interface FleetOptions {
  readonly address: string;
  readonly variant: Variant;
  readonly groups: readonly ProxyGroup[];
}

/** Between the end of a stream and the next try; the real ones wait from half a second on, with jitter. */
const retryMs = 500;

export class Fleet {
  readonly #options: FleetOptions;
  readonly #cache: DigestCache;
  readonly #proxies: SimulatedProxy[] = [];
  readonly #groupOf: string[] = [];
  readonly #bytes = new Map<string, number>();
  #messages = zeros();
  #resources = zeros();
  #ended = 0;
  readonly #stalled = new Set<number>();
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #expectations = new Map<string, Expectation>();
  #configured: { readonly missing: Set<number>; readonly arrivals: number[]; readonly resolve: () => void } | undefined;

  constructor(options: FleetOptions) {
    this.#options = options;
    this.#cache = new DigestCache(options.variant);
  }

  /** Connects all proxies at once; resolves with the milliseconds that each needed until it had everything. */
  async connect(): Promise<readonly number[]> {
    const { groups } = this.#options;
    const count = groups.reduce((sum, group) => sum + group.count, 0);
    return this.#untilConfigured(count, () => {
      for (const group of groups) for (let index = 0; index < group.count; index += 1) this.#add(group);
    });
  }

  /** Cuts all connections at once; all come back at once. */
  async cut(): Promise<readonly number[]> {
    return this.#untilConfigured(this.#proxies.length, () => {
      for (const proxy of this.#proxies) proxy.close();
      for (const proxy of this.#proxies) proxy.open();
    });
  }

  /** Begins to wait for markers in what proxies of some groups (all where not given) get; not those that are stalled. */
  expect(id: string, conditions: readonly Condition[], groups?: readonly string[]): void {
    const indexes = this.#groupOf.flatMap((name, index) =>
      this.#stalled.has(index) || groups?.includes(name) === false ? [] : [index],
    );
    this.#expectations.set(id, new Expectation(this.#cache, conditions, indexes));
  }

  /** Resolves with the times at which proxies had what was expected; rejects after `limitMs`. */
  async arrivals(id: string, limitMs: number): Promise<readonly number[]> {
    const expectation = this.#expectations.get(id);
    if (expectation === undefined) throw new Error(`nothing is expected under ${id}`);
    try {
      return await this.#within(limitMs, expectation.arrivals, () => `${expectation.missing} proxies wait for ${id}`);
    } finally {
      expectation.close();
      this.#expectations.delete(id);
    }
  }

  /** The first proxies read nothing any more, and stay away once the server has ended their streams. */
  stall(count: number): void {
    for (const [index, proxy] of this.#proxies.slice(0, count).entries()) {
      this.#stalled.add(index);
      proxy.stall();
    }
  }

  take(): FleetReading {
    const reading = {
      bytes: Object.fromEntries(this.#bytes),
      messages: this.#messages,
      resources: this.#resources,
      connected: this.#proxies.filter(({ isOpen }) => isOpen).length,
      ended: this.#ended,
    };
    this.#bytes.clear();
    this.#messages = zeros();
    this.#resources = zeros();
    this.#ended = 0;
    return reading;
  }

  close(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    for (const proxy of this.#proxies) proxy.close();
  }

  #add(group: ProxyGroup): void {
    const index = this.#proxies.length;
    const { address, variant } = this.#options;
    this.#groupOf.push(group.name);
    const proxy = new SimulatedProxy({
      ...{ address, variant, cache: this.#cache, node: buildNode(group, index) },
      // What a workload's own listeners are differs, and no two names that matter here.
      scope: group.hasWorkloads === true ? String(index) : group.name,
      onReceived: (received) => this.#note(index, group, received),
      onConfigured: (atMs) => this.#noteConfigured(index, atMs),
      onEnded: () => this.#noteEnded(index, proxy),
    });
    this.#proxies.push(proxy);
  }

  #note(index: number, group: ProxyGroup, { digest, bytes, atMs }: ReceivedResponse): void {
    this.#bytes.set(group.name, (this.#bytes.get(group.name) ?? 0) + bytes);
    this.#messages[digest.type] += 1;
    this.#resources[digest.type] += digest.resourceCount;
    if (digest.markers.length === 0) return;
    for (const expectation of this.#expectations.values()) expectation.note(index, digest, atMs);
  }

  #noteConfigured(index: number, atMs: number): void {
    const waiting = this.#configured;
    if (waiting?.missing.delete(index) !== true) return;
    waiting.arrivals.push(atMs);
    if (waiting.missing.size === 0) waiting.resolve();
  }

  #noteEnded(index: number, proxy: SimulatedProxy): void {
    this.#ended += 1;
    if (this.#stalled.has(index)) return;
    // Spread over as long again, so that those who were refused together do not come back together.
    const timer = setTimeout(
      () => {
        this.#timers.delete(timer);
        proxy.open();
      },
      retryMs * (1 + (index % 50) / 50),
    );
    this.#timers.add(timer);
  }

  async #untilConfigured(count: number, act: () => void): Promise<readonly number[]> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const missing = new Set(Array.from({ length: count }, (_, index) => index));
    const waiting = { missing, arrivals: [] as number[], resolve };
    this.#configured = waiting;
    const startedMs = nowMs();
    act();
    await this.#within(300_000, promise, () => `${waiting.missing.size} proxies are not configured`);
    return waiting.arrivals.map((atMs) => atMs - startedMs);
  }

  async #within<Value>(limitMs: number, promise: Promise<Value>, describe: () => string): Promise<Value> {
    const { promise: late, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => reject(new Error(`${describe()} after ${limitMs / 1000} s`)), limitMs);
    this.#timers.add(timer);
    try {
      return await Promise.race([promise, late]);
    } finally {
      clearTimeout(timer);
      this.#timers.delete(timer);
    }
  }
}

function zeros(): Record<ShortType, number> {
  return Object.fromEntries(shortTypes.map((type) => [type, 0])) as Record<ShortType, number>;
}
