/** A source that a program fills: for tests, for checks of proposed changes and for embedding. */
import type { MeshObject } from "../api/kinds.ts";
import { refOf } from "../api/object.ts";
import { type Message, type ObjectRef, objectKey } from "../lib/message.ts";
import { parseContent } from "./content.ts";
import { createPublisher, type Publisher } from "./publisher.ts";
import type { Source } from "./source.ts";

export interface MemorySource extends Source {
  /**
   * Adds or replaces objects, as one step: YAML text with any number of documents, or objects that are parsed already.
   * A bad object is reported and keeps its last good form. Returns what is to be said about this input.
   */
  apply(input: string | readonly MeshObject[]): readonly Message[];
  /** Takes objects away, as one step; unknown ones are passed over. */
  delete(...refs: readonly ObjectRef[]): void;
}

export function createMemorySource(name = "memory"): MemorySource {
  const objects = new Map<string, MeshObject>();
  /** Messages by object; those that are about no object in particular last until the next text. */
  const messages = new Map<string, readonly Message[]>();
  let publisher: Publisher | undefined;
  const publish = () => publisher?.publish(objects, [...messages.values()].flat());
  return {
    name,
    apply(input) {
      const said: Message[] = [];
      if (typeof input === "string") {
        const content = parseContent(input, name);
        said.push(...content.messages);
        for (const ref of ["", ...content.objects.keys(), ...content.badKeys]) messages.delete(ref);
        for (const message of said) {
          const key = message.object.kind === "File" || message.object.name === "" ? "" : objectKey(message.object);
          messages.set(key, [...(messages.get(key) ?? []), message]);
        }
        for (const [key, object] of content.objects) objects.set(key, object);
      } else {
        for (const object of input) {
          const key = objectKey(refOf(object));
          messages.delete(key);
          objects.set(key, object);
        }
      }
      publish();
      return said;
    },
    delete(...refs) {
      for (const ref of refs) {
        objects.delete(objectKey(ref));
        messages.delete(objectKey(ref));
      }
      publish();
    },
    async start(sink) {
      publisher = createPublisher(sink);
      publish();
    },
    async stop() {
      publisher = undefined;
    },
  };
}
