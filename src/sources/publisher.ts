import { isDeepStrictEqual } from "node:util";
import type { MeshObject } from "../api/kinds.ts";
import { refOf } from "../api/object.ts";
import type { Message } from "../lib/message.ts";
import type { ObjectChange, SourceSink } from "./source.ts";

/** Tells a sink what changed between one whole content and the next. */
export interface Publisher {
  /** Publishes the whole content as it is now; calls the sink only where something differs, and always the first time. */
  publish(objects: ReadonlyMap<string, MeshObject>, problems: readonly Message[]): void;
}

/** Objects that are equal to what was published keep their old identity: for the sink they did not change. */
export function createPublisher(sink: SourceSink): Publisher {
  let published: Map<string, MeshObject> | undefined;
  let reported: readonly Message[] = [];
  return {
    publish(objects, problems) {
      const before = published ?? new Map<string, MeshObject>();
      const next = new Map<string, MeshObject>();
      const changes: ObjectChange[] = [];
      for (const [key, object] of before) {
        if (!objects.has(key)) changes.push({ type: "deleted", ref: refOf(object) });
      }
      for (const [key, object] of objects) {
        const old = before.get(key);
        const isSame = old !== undefined && (old === object || isDeepStrictEqual(old, object));
        next.set(key, isSame ? old : object);
        if (!isSame) changes.push({ type: "set", object });
      }
      const isFirst = published === undefined;
      const saysNew = !isDeepStrictEqual(problems, reported);
      published = next;
      reported = problems;
      if (isFirst || changes.length > 0 || saysNew) sink.apply({ changes, problems });
    },
  };
}
