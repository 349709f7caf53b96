/**
 * The objects of a cluster. Each kind is listed and watched on its own (reflector.ts), so that one that fails holds up no
 * other; what changed is gathered for a moment and published as one step. Nothing that the API server does empties the
 * mesh: a kind that cannot be read keeps its last known objects.
 */
import type { KubeClient } from "../../kube/kube-client.ts";
import type { Clock, Timer } from "../../lib/clock.ts";
import type { Log } from "../../lib/log.ts";
import type { Source, SourceSink } from "../source.ts";
import { type Backoff, nextBackoff, noBackoff } from "./backoff.ts";
import { Delivery } from "./delivery.ts";
import { Discovery } from "./discovery.ts";
import { classifyFailure } from "./failure.ts";
import { defaultLimits, type KubernetesLimits } from "./limits.ts";
import { ObjectTable } from "./object-table.ts";
import { Reflector } from "./reflector.ts";
import { waitForServer } from "./wait-for-server.ts";
import { describeWatch, listWatchProblems, type WatchStatus } from "./watch-status.ts";
import { listTargets, type TargetOptions, type WatchTarget } from "./watch-target.ts";

export interface KubernetesSourceOptions extends TargetOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  /** From 0 up to but not including 1, such as Math.random. */
  readonly random: () => number;
  readonly log: Log;
  /** False takes the objects of a kind out of the mesh when its CustomResourceDefinition is removed; true where not given. */
  readonly keepsRemovedKinds?: boolean;
  /** Replaces single limits. */
  readonly limits?: Partial<KubernetesLimits>;
}

export interface KubernetesSource extends Source {
  /** How each watch stands now. */
  listWatches(): readonly WatchStatus[];
  /** True once the first change set was applied. */
  isSynced(): boolean;
}

/**
 * Creates a source of the objects of a cluster. start() waits until each kind was listed, or is certainly missing or
 * forbidden (Service and EndpointSlice must be listed); as long as the API server is not reached it goes on trying, and publishes nothing.
 */
export function createKubernetesSource(options: KubernetesSourceOptions): KubernetesSource {
  return new ClusterSource(options);
}

/** Without these every mesh looks empty, and proxies would be told so: whoever may not read them does not start. */
const essentialKinds: ReadonlySet<string> = new Set(["Service", "EndpointSlice"]);

function isFitToStart({ target, state, isSettled }: Reflector): boolean {
  return isSettled && (state.isSynced || !essentialKinds.has(target.kind));
}

class ClusterSource implements KubernetesSource {
  readonly name: string;
  readonly #options: KubernetesSourceOptions;
  readonly #limits: KubernetesLimits;
  readonly #log: Log;
  readonly #discovery: Discovery;
  readonly #reflectors: readonly Reflector[];
  readonly #timers = new Set<Timer>();
  /** Resolves when the first change set was applied, or the source was stopped. */
  readonly #started = Promise.withResolvers<void>();
  readonly #ended = Promise.withResolvers<void>();
  #isWaiting = false;
  #delivery: Delivery | undefined;
  #batch: Timer | undefined;
  #retry: Backoff = noBackoff;
  #isReached = true;
  #lookedAtMs = 0;

  constructor(options: KubernetesSourceOptions) {
    this.#options = options;
    this.name = `kubernetes ${options.client.server}`;
    this.#limits = { ...defaultLimits, ...options.limits };
    this.#log = options.log.child({ component: "kubernetes" });
    this.#discovery = new Discovery(options.client, options.clock);
    this.#reflectors = listTargets(options).map((target) => this.#createReflector(target));
  }

  async start(sink: SourceSink): Promise<void> {
    const { clock } = this.#options;
    this.#delivery = new Delivery({ sink, log: this.#log, tables: this.#reflectors.map(({ table }) => table) });
    await this.#waitForServer();
    if (this.#delivery === undefined) return;
    for (const reflector of this.#reflectors) reflector.dispatch({ type: "started" });
    this.#lookedAtMs = clock.monotonic();
    this.#lookLater();
    await this.#started.promise;
  }

  async stop(): Promise<void> {
    this.#delivery = undefined;
    for (const reflector of this.#reflectors) reflector.dispatch({ type: "stopped" });
    this.#batch?.close();
    for (const timer of this.#timers) timer.close();
    this.#timers.clear();
    this.#started.resolve();
    this.#ended.resolve();
  }

  listWatches(): readonly WatchStatus[] {
    return this.#reflectors.map(describeWatch);
  }

  isSynced(): boolean {
    return this.#delivery?.hasDelivered ?? false;
  }

  #createReflector(target: WatchTarget): Reflector {
    const { client, clock, random } = this.#options;
    const reflector: Reflector = new Reflector({
      target,
      table: new ObjectTable(target),
      client,
      discovery: this.#discovery,
      clock,
      random,
      log: this.#log,
      limits: this.#limits,
      keepsRemovedKinds: this.#options.keepsRemovedKinds ?? true,
      onChange: () => {
        const { phase, lastFailure } = reflector.state;
        if (phase === "waiting" && lastFailure?.type === "unreached") this.#noteUnreached(lastFailure.text);
        this.#schedule(this.#limits.batchMs);
      },
      onReached: () => this.#noteReached(),
    });
    return reflector;
  }

  #after(delayMs: number, run: () => void): void {
    const timer = this.#options.clock.after(delayMs, () => {
      this.#timers.delete(timer);
      run();
    });
    this.#timers.add(timer);
  }

  #schedule(delayMs: number): void {
    if (this.#batch !== undefined || this.#delivery === undefined) return;
    this.#batch = this.#options.clock.after(delayMs, () => {
      this.#batch = undefined;
      this.#publish();
    });
  }

  /** Publishes what changed; nothing at all before each kind was listed or is certainly not to be had. */
  #publish(): void {
    const delivery = this.#delivery;
    if (delivery === undefined) return;
    if (!delivery.hasDelivered && !this.#reflectors.every(isFitToStart)) return;
    if (delivery.deliver(listWatchProblems(this.#reflectors))) {
      this.#retry = noBackoff;
    } else {
      const { clock, random } = this.#options;
      const attempt = { nowMs: clock.monotonic(), random: random(), isUnreached: false, retryAfterMs: undefined };
      const [retry, delayMs] = nextBackoff(this.#retry, attempt, this.#limits.backoff);
      this.#retry = retry;
      this.#schedule(delayMs);
    }
    if (delivery.hasDelivered) this.#started.resolve();
  }

  /** Custom kinds come, go and change their versions while we run: looked for more often where one is missing. */
  #lookLater(): void {
    this.#after(this.#limits.missingMs * (1 + this.#options.random() / 10), () => {
      const { clock } = this.#options;
      const custom = this.#reflectors.filter(({ target }) => target.isCustom);
      const isMissing = custom.some(({ state }) => state.phase === "missing");
      if (isMissing || clock.monotonic() - this.#lookedAtMs >= this.#limits.discoveryMs) {
        this.#lookedAtMs = clock.monotonic();
        for (const reflector of custom) this.#lookFor(reflector);
      }
      this.#lookLater();
    });
  }

  #lookFor(reflector: Reflector): void {
    this.#discovery.findVersion(reflector.target).then(
      (version) => {
        if (version !== undefined) reflector.dispatch({ type: "served", version });
      },
      (cause: unknown) =>
        this.#log.debug("served versions cannot be looked up", { error: classifyFailure(cause).text }),
    );
  }

  #noteUnreached(error: string): void {
    if (this.#isReached)
      this.#log.warn("the API server is not reached, the mesh stays as it was last known", { error });
    this.#isReached = false;
  }

  #waitForServer(): Promise<void> {
    const { clock, random } = this.#options;
    return waitForServer({
      discovery: this.#discovery,
      clock,
      random,
      limits: this.#limits,
      log: this.#log,
      isStopped: () => this.#delivery === undefined,
      pause: (delayMs) =>
        Promise.race([this.#ended.promise, new Promise<void>((resolve) => this.#after(delayMs, resolve))]),
    });
  }

  /** Whoever waits for a server that was not reached comes back as soon as one of them has reached it. */
  #noteReached(): void {
    if (this.#isReached) return;
    this.#isReached = true;
    this.#log.info("the API server is reached again");
    this.#wake(false);
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    this.#waitForServer().then(
      () => {
        this.#isWaiting = false;
        this.#wake(true);
      },
      (cause: unknown) => this.#log.error("waiting for the API server failed", { error: classifyFailure(cause).text }),
    );
  }

  #wake(isReady: boolean): void {
    for (const reflector of this.#reflectors) reflector.dispatch({ type: "reachable", isReady });
  }
}
