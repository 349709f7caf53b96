import { isDeepStrictEqual } from "node:util";
import type { MeshObject } from "../api/kinds.ts";
import { refOf } from "../api/object.ts";
import type { Message } from "../lib/message.ts";
import type { ObjectChange, SourceSink } from "./source.ts";

/** Tells a sink what changed between one whole content and the next. */
export interface Publisher {
  /** Publishes the whole content as it is now; calls the sink only where something differs, and always the first time. */
  publish(objects: ReadonlyMap<string, MeshObject>, problems: readonly Message[]): void;
  /** The same where nothing but the objects of some keys may differ from what was published: it costs as much as those. */
  publishSome(objects: ReadonlyMap<string, MeshObject>, keys: Iterable<string>, problems: readonly Message[]): void;
}

/** Objects that are equal to what was published keep their old identity: for the sink they did not change. */
export function createPublisher(sink: SourceSink): Publisher {
  const published = new Map<string, MeshObject>();
  let reported: readonly Message[] | undefined;
  const publishSome: Publisher["publishSome"] = (objects, keys, problems) => {
    const changes: ObjectChange[] = [];
    for (const key of keys) {
      const [old, object] = [published.get(key), objects.get(key)];
      if (object === undefined) {
        if (old !== undefined) changes.push({ type: "deleted", ref: refOf(old) });
        published.delete(key);
      } else if (old === undefined || (old !== object && !isDeepStrictEqual(old, object))) {
        changes.push({ type: "set", object });
        published.set(key, object);
      }
    }
    const saysNew = reported === undefined || !isDeepStrictEqual(problems, reported);
    reported = problems;
    if (changes.length > 0 || saysNew) sink.apply({ changes, problems });
  };
  return {
    publishSome,
    publish(objects, problems) {
      // What is gone comes first.
      const gone = [...published.keys()].filter((key) => !objects.has(key));
      publishSome(objects, [...gone, ...objects.keys()], problems);
    },
  };
}
