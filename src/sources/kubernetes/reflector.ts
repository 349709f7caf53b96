/**
 * Keeps the objects of one target equal to the API server's: performs what reflector-state.ts decides. One request or
 * watch is under way at a time; what comes late from one that was cut is not heard.
 */
import type { KubeClient, KubeStream } from "../../kube/kube-client.ts";
import { KubeApiError } from "../../kube/kube-client.ts";
import type { Clock, Timer } from "../../lib/clock.ts";
import type { Log } from "../../lib/log.ts";
import type { Discovery } from "./discovery.ts";
import { GarbledWatchError, LineSplitter } from "./event-lines.ts";
import { classifyFailure } from "./failure.ts";
import type { KubernetesLimits } from "./limits.ts";
import type { ObjectTable } from "./object-table.ts";
import { probeWatch } from "./probe.ts";
import { readRecord, readResourceVersion } from "./raw-object.ts";
import { type Effect, initialState, type ReflectorEvent, type ReflectorState, transition } from "./reflector-state.ts";
import { Silence } from "./silence.ts";
import { pathOf, selectorOf, type WatchTarget } from "./watch-target.ts";

export interface ReflectorOptions {
  readonly target: WatchTarget;
  readonly table: ObjectTable;
  readonly client: KubeClient;
  readonly discovery: Discovery;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  readonly limits: KubernetesLimits;
  /** The objects of a kind whose definition is removed stay in the mesh. */
  readonly keepsRemovedKinds: boolean;
  /** The table or the state changed. */
  readonly onChange: () => void;
  /** The server answered. */
  readonly onReached: () => void;
}

/** One under way: a request, a watch or a look-up. */
type Operation = (signal: AbortSignal) => Promise<ReflectorEvent | undefined>;

export class Reflector {
  readonly target: WatchTarget;
  readonly table: ObjectTable;
  readonly #options: ReflectorOptions;
  readonly #log: Log;
  #state: ReflectorState = initialState;
  #abort = new AbortController();
  #timer: Timer | undefined;
  /** The watch whose deletions are being confirmed. */
  #confirmed: AbortSignal | undefined;
  /** The watch that is being compared with the server. */
  #probed: AbortSignal | undefined;
  #silence: Silence | undefined;

  constructor(options: ReflectorOptions) {
    this.target = options.target;
    this.table = options.table;
    this.#options = options;
    this.#log = options.log.child({ kind: options.target.id });
  }

  get state(): ReflectorState {
    return this.#state;
  }

  /** Everything is there, or the server says that it is not for us. */
  get isSettled(): boolean {
    const { isSynced, fault } = this.#state;
    return isSynced || fault === "forbidden" || fault === "missing";
  }

  dispatch(event: ReflectorEvent): void {
    const { clock, limits, random, onChange } = this.#options;
    const before = this.#state;
    const [after, effects] = transition(before, event, { nowMs: clock.monotonic(), random: random(), limits });
    this.#state = after;
    this.#report(before, after);
    for (const effect of effects) this.#perform(effect);
    onChange();
  }

  #perform(effect: Effect): void {
    const { table } = this.#options;
    switch (effect.type) {
      case "find":
        this.#run((signal) => this.#find(signal));
        break;
      case "list":
        this.#run((signal) => this.#list(effect, signal));
        break;
      case "stream":
        this.#run((signal) => this.#stream(effect.version, signal));
        break;
      case "watch":
        this.#run((signal) => this.#watch(effect, signal));
        break;
      case "wait":
        this.#timer?.close();
        this.#timer = this.#options.clock.after(effect.delayMs, () => this.dispatch({ type: "elapsed" }));
        break;
      case "probe":
        this.#probe(effect.isAfterBreak);
        break;
      case "commit":
        table.commit();
        break;
      case "discard":
        table.discard();
        break;
      case "cut":
        this.#cut();
        break;
    }
  }

  #cut(): void {
    this.#timer?.close();
    this.#silence?.stop();
    this.#abort.abort();
    this.#abort = new AbortController();
  }

  #run(operation: Operation): void {
    this.#cut();
    const { signal } = this.#abort;
    const tell = (event: ReflectorEvent | undefined): void => {
      if (!signal.aborted && event !== undefined) this.dispatch(event);
    };
    operation(signal).then(tell, (cause: unknown) => tell({ type: "failed", failure: classifyFailure(cause) }));
  }

  async #find(signal: AbortSignal): Promise<ReflectorEvent> {
    const { discovery, onReached } = this.#options;
    if (!this.target.isCustom) return { type: "found", version: this.target.versions[0] };
    const version = await discovery.findVersion(this.target);
    if (!signal.aborted) onReached();
    return { type: "found", version };
  }

  /** Reads the list page by page; always the newest state, so that it never goes back behind what we had. */
  async #list(
    { version, isWhole }: { readonly version: string; readonly isWhole: boolean },
    signal: AbortSignal,
  ): Promise<ReflectorEvent | undefined> {
    const { client, table, limits, onReached } = this.#options;
    let token = "";
    for (;;) {
      const query = {
        ...selectorOf(this.target),
        ...(isWhole ? {} : { limit: String(limits.pageSize) }),
        ...(token === "" ? {} : { continue: token }),
      };
      const path = pathOf(this.target, version);
      const page = readRecord(await client.request({ path, query, timeoutMs: limits.requestTimeoutMs, signal }));
      if (signal.aborted) return undefined;
      onReached();
      const items: unknown = page["items"];
      for (const item of Array.isArray(items) ? items : []) table.stage(item, version);
      const next: unknown = readRecord(page["metadata"])["continue"];
      token = typeof next === "string" ? next : "";
      if (token === "") return { type: "listed", resourceVersion: readResourceVersion(page) };
    }
  }

  /** Reads the list as the first events of a watch, which then goes on (Kubernetes: streaming lists). */
  async #stream(version: string, signal: AbortSignal): Promise<ReflectorEvent | undefined> {
    const { clock, limits } = this.#options;
    const overdue = clock.after(limits.streamedListMs, () => {
      if (signal.aborted || this.#state.phase !== "streaming") return;
      const text = `the streamed list is not complete after ${limits.streamedListMs} ms`;
      this.#cut();
      this.dispatch({ type: "failed", failure: { type: "unsupported", text, retryAfterMs: undefined } });
    });
    try {
      return await this.#follow({ sendInitialEvents: "true", resourceVersionMatch: "NotOlderThan" }, version, signal);
    } finally {
      overdue.close();
    }
  }

  #watch(
    { version, resourceVersion }: { readonly version: string; readonly resourceVersion: string },
    signal: AbortSignal,
  ): Promise<ReflectorEvent | undefined> {
    return this.#follow({ resourceVersion }, version, signal);
  }

  /** Opens a watch and takes in what it tells, until it ends. */
  async #follow(
    given: Readonly<Record<string, string>>,
    version: string,
    signal: AbortSignal,
  ): Promise<ReflectorEvent | undefined> {
    const { client, limits, random, onReached } = this.#options;
    const timeoutMs = limits.watchTimeoutMs * (1 + random());
    const stream = await client.stream({
      path: pathOf(this.target, version),
      query: {
        ...selectorOf(this.target),
        ...given,
        watch: "true",
        allowWatchBookmarks: "true",
        timeoutSeconds: String(Math.max(1, Math.round(timeoutMs / 1000))),
      },
      timeoutMs: limits.requestTimeoutMs,
      signal,
    });
    if (signal.aborted) {
      stream.close();
      return undefined;
    }
    onReached();
    const silence = this.#guard();
    try {
      this.dispatch({ type: "opened" });
      return await this.#read(stream, version, { signal, silence });
    } finally {
      silence.stop();
    }
  }

  async #read(
    stream: KubeStream,
    version: string,
    { signal, silence }: { readonly signal: AbortSignal; readonly silence: Silence },
  ): Promise<ReflectorEvent | undefined> {
    const lines = new LineSplitter(this.#options.limits.maxEventBytes);
    try {
      for await (const chunk of stream.chunks) {
        silence.note();
        for (const line of lines.push(chunk)) {
          if (signal.aborted) return undefined;
          this.#take(line, version);
        }
      }
    } finally {
      stream.close();
    }
    if (lines.pendingBytes > 0) throw new GarbledWatchError("the watch ended within an event");
    return { type: "ended" };
  }

  /** Takes one event in. Throws where it is an error, or cannot be read. */
  #take(line: string, version: string): void {
    const event = parseEvent(line);
    const raw = event["object"];
    const resourceVersion = readResourceVersion(raw);
    const { table, keepsRemovedKinds } = this.#options;
    switch (event["type"]) {
      case "ADDED":
      case "MODIFIED":
      case "DELETED": {
        const isStreaming = this.#state.phase === "streaming";
        const context = { version, isDoubted: this.target.isCustom && keepsRemovedKinds };
        const { size } = table;
        const isTaken = isStreaming ? table.stage(raw, version) : table.apply(event["type"], raw, context);
        if (table.hasDoubtedDeletions) this.#confirmDeletions();
        if (!isTaken) this.#log.warn("an event is about no object of the kind that is watched");
        const isNewObject = table.size > size;
        this.dispatch({ type: "told", resourceVersion, isBookmark: false, isNewObject });
        break;
      }
      case "BOOKMARK": {
        const annotations = readRecord(readRecord(readRecord(raw)["metadata"])["annotations"]);
        const isEnd = annotations["k8s.io/initial-events-end"] === "true" && this.#state.phase === "streaming";
        this.dispatch(
          isEnd ? { type: "listed", resourceVersion } : { type: "told", resourceVersion, isBookmark: true },
        );
        break;
      }
      case "ERROR":
        throw readErrorEvent(raw);
      default:
        // A newer server may have more to say than we understand.
        this.#log.debug("an event of an unknown type is passed over");
    }
  }

  /**
   * Believes deletions unless the definition of the kind is being removed: who takes a CustomResourceDefinition away by
   * mistake must not lose the mesh's traffic.
   */
  #confirmDeletions(): void {
    const { version } = this.#state;
    const { clock, discovery, limits, table, onChange } = this.#options;
    const { signal } = this.#abort;
    if (this.#confirmed === signal || version === undefined) return;
    this.#confirmed = signal;
    const end = (isBelieved: boolean): void => {
      if (this.#confirmed === signal) this.#confirmed = undefined;
      if (signal.aborted || !isBelieved) return;
      table.confirmDeletions();
      onChange();
    };
    discovery.isBeingRemoved(this.target, version).then(
      (isRemoved) => end(!isRemoved),
      () => {
        end(false);
        clock.after(limits.backoff.initialMs, () => {
          if (!signal.aborted && table.hasDoubtedDeletions) this.#confirmDeletions();
        });
      },
    );
  }

  /** Watches over the watch: asks the server when it is silent, and cuts it when it stays so. */
  #guard(): Silence {
    const { clock, limits, random } = this.#options;
    this.#silence = new Silence({
      clock,
      random,
      limits,
      onDoubt: () => {
        if (this.#state.phase === "watching") this.#probe(false);
      },
      onSilent: () => {
        this.#cut();
        const text = `the watch was silent for ${limits.silenceMs} ms`;
        this.dispatch({ type: "failed", failure: { type: "refused", text, retryAfterMs: undefined } });
      },
    });
    return this.#silence;
  }

  #probe(isAfterBreak: boolean, failures = 0): void {
    const { version, resourceVersion } = this.#state;
    const { signal } = this.#abort;
    if (this.#probed === signal || version === undefined) return;
    this.#probed = signal;
    const silence = this.#silence;
    const heardAtMs = silence?.heardAtMs;
    probeWatch({
      ...this.#options,
      signal,
      version,
      resourceVersion,
      isAfterBreak,
      hasHeard: () => this.#state.resourceVersion !== resourceVersion || silence?.heardAtMs !== heardAtMs,
    })
      .then(
        (result) => {
          if (!signal.aborted) this.dispatch({ type: "probed", result });
        },
        // The watch breaks on its own where the server is gone; a probe that fails says nothing about it.
        (cause: unknown) => {
          const { text, retryAfterMs = 0 } = classifyFailure(cause);
          this.#log.debug("a watch could not be compared", { error: text });
          // A server that has just come back may open a watch sooner than it serves a list.
          const { clock, limits } = this.#options;
          const delayMs = Math.max(retryAfterMs, limits.backoff.initialMs * 2 ** Math.min(failures, 10));
          if (isAfterBreak && !signal.aborted) {
            clock.after(Math.min(delayMs, limits.backoff.maxMs), () => {
              if (!signal.aborted && this.#state.phase === "watching") this.#probe(true, failures + 1);
            });
          }
        },
      )
      .finally(() => {
        if (this.#probed === signal) this.#probed = undefined;
      });
  }

  /** Says what changed, once. That the server is not reached is said once for all kinds (kubernetes-source.ts). */
  #report(before: ReflectorState, after: ReflectorState): void {
    const { resourceVersion, version, lastFailure } = after;
    if (after.failures !== before.failures && lastFailure !== undefined) {
      const isTold = lastFailure.type === "unreached" || lastFailure.type === "expired";
      const isNew = before.fault !== after.fault || lastFailure.type !== before.lastFailure?.type;
      // A server that says when to come back (storage of a new kind, too many requests) needs nobody's attention.
      const level = lastFailure.retryAfterMs === undefined ? "warn" : "info";
      this.#log[isNew && !isTold ? level : "debug"]("objects cannot be watched, it is tried again", {
        error: lastFailure.text,
      });
    }
    if (after.relists > before.relists) this.#log.info("objects were listed anew", { resourceVersion });
    if (after.isSynced && !before.isSynced) this.#log.debug("objects are listed", { resourceVersion, version });
  }
}

function parseEvent(line: string): Readonly<Record<string, unknown>> {
  try {
    return readRecord(JSON.parse(line));
  } catch {
    throw new GarbledWatchError("an event is not JSON");
  }
}

/** The error that a watch tells instead of an event: a Status, with the code that the answer would have had. */
function readErrorEvent(raw: unknown): KubeApiError {
  const status = readRecord(raw);
  const [code, reason, message] = [status["code"], status["reason"], status["message"]];
  const seconds = readRecord(status["details"])["retryAfterSeconds"];
  return new KubeApiError(
    typeof code === "number" ? code : 500,
    typeof message === "string" ? message : "error event",
    {
      ...(typeof reason === "string" ? { reason } : {}),
      ...(typeof seconds === "number" ? { retryAfterMs: seconds * 1000 } : {}),
    },
  );
}
