/**
 * Resources that are asked for by name: one entry for all users of a name at a source, subscribed to while there is one.
 * What was taken last stays, whatever comes after it.
 */
import type { ConfigSource } from "@meltemi/protos/envoy/config/core/v3";
import type { Clock, Timer } from "../lib/clock.ts";
import { type ConfigSources, fetchTimeoutOf, keyOfSource } from "./config-sources.ts";
import type { ResourceType } from "./resource-types.ts";
import {
  decodeResource,
  type ReceivedResource,
  type ResourceHandler,
  type ResourceMessage,
  type ResourceUpdate,
  type Subscription,
} from "./resource-update.ts";
import type { Rejection } from "./subscription-state.ts";
import type { SubscriptionStats } from "./subscription-stats.ts";

export interface NamedResourcesOptions<Value> {
  readonly type: ResourceType;
  readonly sources: Pick<ConfigSources, "subscribe">;
  readonly clock: Clock;
  /** Throws for what cannot be used. */
  compile(message: ResourceMessage): Value;
}

export interface NamedResourceOrigin {
  readonly source: ConfigSource | undefined;
  readonly stats: SubscriptionStats | undefined;
}

/** One user's hold of an entry. */
export interface ResourceSlot<Value> {
  readonly name: string;
  readonly current: Value | undefined;
  /** Resolves with the first value, or when none is to be waited for any longer: refused, removed, or the time is over. */
  readonly ready: Promise<void>;
  /** What `run` throws is refused. The result ends that. */
  onChange(run: () => void): () => void;
  close(): void;
}

export interface EntryView<Value> {
  readonly name: string;
  readonly value: Value | undefined;
  readonly version: string;
  /** Milliseconds since the epoch. */
  readonly updatedAt: number;
  readonly error: { readonly at: number; readonly details: string; readonly version: string } | undefined;
}

interface Group<Value> {
  readonly key: string;
  readonly subscription: Subscription;
  readonly entries: Map<string, Entry<Value>>;
  wanted: string;
}

export class NamedResources<Value> {
  readonly #options: NamedResourcesOptions<Value>;
  readonly #groups = new Map<string, Group<Value>>();
  readonly #dirty = new Set<Group<Value>>();
  #isClosed = false;

  constructor(options: NamedResourcesOptions<Value>) {
    this.#options = options;
  }

  /** Throws ConfigError for a source that is not supported. */
  open(name: string, origin: NamedResourceOrigin): ResourceSlot<Value> {
    const group = this.#groupOf(origin.source, name);
    let entry = group.entries.get(name);
    if (entry === undefined) {
      entry = new Entry<Value>(name, origin.stats);
      group.entries.set(name, entry);
      const timeoutMs = fetchTimeoutOf(origin.source);
      if (timeoutMs !== undefined) entry.waitFor(timeoutMs, this.#options.clock);
      origin.stats?.attempt();
    }
    const held = entry;
    held.users += 1;
    this.#refresh(group);
    let isOpen = true;
    const stops = new Set<() => void>();
    return {
      name,
      get current() {
        return held.value;
      },
      ready: held.ready,
      onChange: (run) => {
        const stop = held.listen(run);
        stops.add(stop);
        return () => {
          stops.delete(stop);
          stop();
        };
      },
      close: () => {
        if (!isOpen) return;
        isOpen = false;
        for (const stop of stops) stop();
        held.users -= 1;
        this.#refresh(group);
      },
    };
  }

  list(): readonly EntryView<Value>[] {
    return [...this.#groups.values()].flatMap(({ entries }) => [...entries.values()]);
  }

  close(): void {
    this.#isClosed = true;
    for (const { subscription, entries } of this.#groups.values()) {
      for (const entry of entries.values()) entry.settle();
      subscription.close();
    }
    this.#groups.clear();
  }

  #groupOf(source: ConfigSource | undefined, name: string): Group<Value> {
    const key = keyOfSource(source, name);
    const known = this.#groups.get(key);
    if (known !== undefined) return known;
    const entries = new Map<string, Entry<Value>>();
    const handler: ResourceHandler = {
      apply: (update) => Promise.resolve(this.#apply(entries, update)),
      failed() {
        for (const { stats } of entries.values()) stats?.failure();
      },
    };
    const subscription = this.#options.sources.subscribe(source, this.#options.type, handler);
    const group = { key, subscription, entries, wanted: "" };
    this.#groups.set(key, group);
    return group;
  }

  /** Says what is wanted once for all that is opened and closed in one go. */
  #refresh(group: Group<Value>): void {
    if (this.#dirty.has(group)) return;
    this.#dirty.add(group);
    queueMicrotask(() => {
      this.#dirty.delete(group);
      if (!this.#isClosed) this.#flush(group);
    });
  }

  #flush(group: Group<Value>): void {
    for (const [name, entry] of group.entries) {
      if (entry.users > 0) continue;
      entry.settle();
      group.entries.delete(name);
    }
    const names = [...group.entries.keys()].sort();
    const wanted = JSON.stringify(names);
    if (wanted === group.wanted) return;
    group.wanted = wanted;
    if (names.length > 0 || group.key === "ads") {
      group.subscription.want(names);
      return;
    }
    group.subscription.close();
    if (this.#groups.get(group.key) === group) this.#groups.delete(group.key);
  }

  #apply(entries: ReadonlyMap<string, Entry<Value>>, update: ResourceUpdate): readonly Rejection[] {
    const { type, clock, compile } = this.#options;
    const rejections: Rejection[] = [];
    for (const resource of update.resources) {
      const reason = entries.get(resource.name)?.take(resource, compile, clock.now());
      if (reason !== undefined) rejections.push({ resource: `${type.shortName} ${resource.name}`, reason });
    }
    for (const name of update.removed) entries.get(name)?.settle();
    for (const { name, reason } of update.unreadable) {
      if (name !== undefined) entries.get(name)?.refuse(reason, update.version, clock.now());
    }
    return rejections;
  }
}

class Entry<Value> implements EntryView<Value> {
  readonly name: string;
  readonly stats: SubscriptionStats | undefined;
  readonly ready: Promise<void>;
  value: Value | undefined;
  version = "";
  updatedAt = 0;
  error: EntryView<Value>["error"];
  users = 0;
  readonly #listeners = new Set<() => void>();
  #bytes: Uint8Array | undefined;
  #timer: Timer | undefined;
  #resolve: () => void = () => undefined;

  constructor(name: string, stats: SubscriptionStats | undefined) {
    this.name = name;
    this.stats = stats;
    this.ready = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  waitFor(timeoutMs: number, clock: Clock): void {
    this.#timer = clock.after(timeoutMs, () => {
      this.stats?.fetchTimeout();
      this.settle();
    });
  }

  /** Nothing more is waited for. */
  settle(): void {
    this.#timer?.close();
    this.#resolve();
  }

  listen(run: () => void): () => void {
    // One object a call: the same function may listen twice.
    const listener = (): void => run();
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Why the resource cannot be used; undefined where it is. */
  take(resource: ReceivedResource, compile: (message: ResourceMessage) => Value, now: number): string | undefined {
    try {
      this.#use(resource, compile, now);
      this.error = undefined;
      this.stats?.settled(resource.version, false);
      this.settle();
      return undefined;
    } catch (cause: unknown) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      this.refuse(reason, resource.version, now);
      return reason;
    }
  }

  refuse(details: string, version: string, at: number): void {
    this.error = { at, details, version };
    this.stats?.settled(version, true);
    this.settle();
  }

  #use(resource: ReceivedResource, compile: (message: ResourceMessage) => Value, now: number): void {
    const isSame = this.#bytes !== undefined && Buffer.compare(this.#bytes, resource.bytes) === 0;
    if (!isSame) {
      const before = this.value;
      this.value = compile(decodeResource(resource));
      try {
        for (const run of [...this.#listeners]) run();
      } catch (cause: unknown) {
        this.value = before;
        throw cause;
      }
      this.#bytes = resource.bytes;
      this.stats?.changed?.();
      this.updatedAt = now;
    }
    this.version = resource.version;
  }
}
