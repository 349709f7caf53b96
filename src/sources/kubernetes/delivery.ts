import { isDeepStrictEqual } from "node:util";
import { refOf } from "../../api/object.ts";
import type { Log } from "../../lib/log.ts";
import type { Message } from "../../lib/message.ts";
import type { ObjectChange, SourceSink } from "../source.ts";
import type { ObjectTable } from "./object-table.ts";

export interface DeliveryOptions {
  readonly sink: SourceSink;
  readonly tables: readonly ObjectTable[];
  readonly log: Log;
}

/**
 * Tells the mesh what changed in the tables. Where the mesh throws, the changes stay untold and are told again one by
 * one, so that an object that it cannot bear holds up no other.
 */
export class Delivery {
  readonly #options: DeliveryOptions;
  #hasDelivered = false;
  #reported: readonly Message[] = [];
  #rejected: readonly Message[] = [];
  #isSingle = false;

  constructor(options: DeliveryOptions) {
    this.#options = options;
  }

  /** The mesh was told at least once. */
  get hasDelivered(): boolean {
    return this.#hasDelivered;
  }

  /** Tells what changed since the last time, if anything. False where something is left to be told again. */
  deliver(watchProblems: readonly Message[]): boolean {
    const { tables, log } = this.#options;
    const taken = tables.flatMap((table) => table.takeChanges());
    const problems = [...watchProblems, ...tables.flatMap((table) => table.messages)];
    try {
      if (!this.#isSingle) {
        this.#tell(
          taken.flatMap(({ changes }) => changes),
          problems,
        );
        return true;
      }
      this.#rejected = taken.flatMap(({ changes, undo }) => this.#tellOne(changes, undo, problems));
      this.#isSingle = this.#rejected.length > 0;
      this.#tell([], [...problems, ...this.#rejected]);
      return !this.#isSingle;
    } catch (cause: unknown) {
      log.error("changes could not be applied, they are tried again one by one", { error: textOf(cause) });
      if (!this.#isSingle) for (const { undo } of taken) undo();
      this.#isSingle = true;
      return false;
    }
  }

  #tell(changes: readonly ObjectChange[], problems: readonly Message[]): void {
    if (this.#hasDelivered && changes.length === 0 && isDeepStrictEqual(problems, this.#reported)) return;
    this.#options.sink.apply({ changes, problems });
    this.#reported = problems;
    this.#hasDelivered = true;
  }

  /** What there is to say where the mesh does not take the object. */
  #tellOne(changes: readonly ObjectChange[], undo: () => void, problems: readonly Message[]): readonly Message[] {
    try {
      this.#tell(changes, [...problems, ...this.#rejected]);
      return [];
    } catch (cause: unknown) {
      undo();
      const [change] = changes;
      if (change === undefined) return [];
      const object = change.type === "set" ? refOf(change.object) : change.ref;
      const text = `could not be applied, the mesh keeps its last form and it is tried again: ${textOf(cause)}`;
      return [{ level: "error", code: "not-applied", object, path: "", text }];
    }
  }
}

function textOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : "an unknown error";
}
