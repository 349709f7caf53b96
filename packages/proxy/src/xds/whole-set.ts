/**
 * Listeners or clusters: all that a source has, each taken over on its own. Those of the bootstrap are not touched
 * (docs: configuration/listeners/lds, configuration/upstream/cluster_manager/cds).
 */
import type { DumpedResource } from "../admin/types.ts";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import { Turns } from "../lib/turns.ts";
import type { ResourceType } from "./resource-types.ts";
import { decodeResource, type ReceivedResource, type ResourceHandler, type ResourceUpdate } from "./resource-update.ts";
import type { Rejection } from "./subscription-state.ts";
import type { SubscriptionStats } from "./subscription-stats.ts";

export interface WholeSetOptions<Message> {
  readonly type: ResourceType;
  readonly clock: Clock;
  readonly log: Log;
  readonly stats: SubscriptionStats;
  /** Resolves when the resource is in use. Throws at once, or rejects, where it cannot be. */
  update(message: Message, origin: { readonly isStatic: boolean; readonly version: string }): Promise<void>;
  remove(name: string): unknown;
}

interface Held<Message> {
  /** Of the bootstrap; what has bytes is decoded when it is asked for. */
  readonly message: Message | undefined;
  readonly bytes: Uint8Array;
  readonly isStatic: boolean;
  readonly updatedAt: number;
  version: string;
}

interface Entry<Message> {
  active: Held<Message> | undefined;
  warming: Held<Message> | undefined;
  error: { readonly at: number; readonly details: string; readonly version: string } | undefined;
}

const nothing = new Uint8Array();

export class WholeSet<Message> implements ResourceHandler {
  readonly #options: WholeSetOptions<Message>;
  readonly #entries = new Map<string, Entry<Message>>();
  readonly #first = Promise.withResolvers<void>();

  constructor(options: WholeSetOptions<Message>) {
    this.#options = options;
  }

  /** Resolves when all of the first response is in use, refused or failed, or `giveUp` was called. */
  get ready(): Promise<void> {
    return this.#first.promise;
  }

  giveUp(): void {
    this.#first.resolve();
  }

  /** A resource of the bootstrap. Throws or rejects where it cannot be used. */
  addStatic(name: string, message: Message): Promise<void> {
    const held = { message, bytes: nothing, isStatic: true, updatedAt: this.#options.clock.now(), version: "" };
    const entry: Entry<Message> = { active: undefined, warming: held, error: undefined };
    const done = this.#options.update(message, { isStatic: true, version: "" });
    this.#entries.set(name, entry);
    return done.then(() => {
      entry.active = held;
      entry.warming = undefined;
    });
  }

  attempted(): void {
    this.#options.stats.attempt();
  }

  failed(): void {
    this.#options.stats.failure();
  }

  settled(version: string, isRejected: boolean): void {
    this.#options.stats.settled(version, isRejected);
  }

  async apply(update: ResourceUpdate): Promise<readonly Rejection[]> {
    const turns = new Turns(this.#options.clock);
    for (const name of update.removed) {
      this.#remove(name);
      if (turns.isOver) await turns.next();
    }
    this.#forgetErrors();
    const rejections: Rejection[] = [];
    const pending: Promise<void>[] = [];
    for (const resource of update.resources) {
      if (turns.isOver) await turns.next();
      const done = this.#take(resource);
      if (done === undefined) continue;
      pending.push(
        done.catch((cause: unknown) => {
          const reason = cause instanceof Error ? cause.message : String(cause);
          this.#refuse(resource, reason);
          rejections.push({ resource: `${this.#options.type.shortName} ${resource.name}`, reason });
        }),
      );
    }
    const all = Promise.all(pending).then(() => this.#first.resolve());
    // What fails at once, such as an address that is taken, is still an answer to this response; what warms is not waited for.
    await Promise.race([all, new Promise((resolve) => setImmediate(resolve))]);
    return rejections.slice();
  }

  /** True for a name that came, also while it warms. */
  has(name: string): boolean {
    return this.#entries.has(name);
  }

  dump(): readonly DumpedResource<Message>[] {
    return [...this.#entries].flatMap(([name, { active, warming, error }]) => {
      const states = [
        { held: active, isWarming: false },
        { held: warming, isWarming: true },
      ];
      return states.flatMap(({ held, isWarming }) => {
        if (held === undefined) return [];
        const { version, updatedAt, isStatic } = held;
        const resource = held.message ?? this.#decode(held.bytes);
        return { name, resource, version, updatedAt, isStatic, isWarming, ...(error === undefined ? {} : { error }) };
      });
    });
  }

  errors(): ReadonlyMap<string, { readonly at: number; readonly details: string; readonly version: string }> {
    return new Map([...this.#entries].flatMap(([name, { error }]) => (error === undefined ? [] : [[name, error]])));
  }

  /** As with Envoy an update shows its own errors; a server may think of ever new names that cannot be used. */
  #forgetErrors(): void {
    for (const [name, { active, warming }] of this.#entries) {
      if (active === undefined && warming === undefined) this.#entries.delete(name);
    }
  }

  #remove(name: string): void {
    const entry = this.#entries.get(name);
    if (entry === undefined || isFixed(entry)) return;
    this.#entries.delete(name);
    void Promise.resolve(this.#options.remove(name)).catch((cause: unknown) => {
      this.#options.log.warn("A resource could not be removed in order", { name, cause });
    });
  }

  /** Undefined where nothing is to be done. */
  #take(resource: ReceivedResource): Promise<void> | undefined {
    const { name, version, bytes } = resource;
    const entry = this.#entries.get(name) ?? { active: undefined, warming: undefined, error: undefined };
    if (isFixed(entry)) {
      this.#options.log.debug("A resource of the bootstrap stays as it is", { name });
      return undefined;
    }
    const newest = entry.warming ?? entry.active;
    if (newest !== undefined && Buffer.compare(newest.bytes, bytes) === 0) {
      newest.version = version;
      entry.error = undefined;
      return undefined;
    }
    this.#entries.set(name, entry);
    const updatedAt = this.#options.clock.now();
    return this.#begin(entry, { message: undefined, bytes, isStatic: false, updatedAt, version });
  }

  #decode(bytes: Uint8Array): Message {
    return decodeResource({ typeName: this.#options.type.typeName, bytes }) as Message;
  }

  async #begin(entry: Entry<Message>, held: Held<Message>): Promise<void> {
    const done = this.#options.update(this.#decode(held.bytes), { isStatic: false, version: held.version });
    entry.warming = held;
    entry.error = undefined;
    try {
      await done;
      if (entry.warming === held) entry.active = held;
    } finally {
      if (entry.warming === held) entry.warming = undefined;
    }
  }

  #refuse({ name, version }: ReceivedResource, details: string): void {
    const entry = this.#entries.get(name);
    if (entry === undefined) return;
    entry.error = { at: this.#options.clock.now(), details, version };
    this.#options.log.warn("A resource cannot be used; the one before it stays", { name, details });
  }
}

function isFixed<Message>({ active, warming }: Entry<Message>): boolean {
  return (active ?? warming)?.isStatic === true;
}
