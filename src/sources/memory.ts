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
  const publish = (keys: Iterable<string>) => publisher?.publishSome(objects, keys, [...messages.values()].flat());
  const applyText = (text: string): { readonly said: readonly Message[]; readonly keys: Iterable<string> } => {
    const content = parseContent(text, name);
    for (const key of ["", ...content.objects.keys(), ...content.messages.map(keyOf)]) messages.delete(key);
    for (const message of content.messages) {
      const key = keyOf(message);
      messages.set(key, [...(messages.get(key) ?? []), message]);
    }
    for (const [key, object] of content.objects) objects.set(key, object);
    return { said: content.messages, keys: content.objects.keys() };
  };
  const applyObject = (object: MeshObject): string => {
    const key = objectKey(refOf(object));
    messages.delete(key);
    objects.set(key, object);
    return key;
  };
  return {
    name,
    apply(input) {
      const { said, keys } = typeof input === "string" ? applyText(input) : { said: [], keys: input.map(applyObject) };
      publish(keys);
      return said;
    },
    delete(...refs) {
      const keys = refs.map(objectKey);
      for (const key of keys) {
        objects.delete(key);
        messages.delete(key);
      }
      publish(keys);
    },
    async start(sink) {
      publisher = createPublisher(sink);
      publish(objects.keys());
    },
    async stop() {
      publisher = undefined;
    },
  };
}

/** The object that a message is about, "" for none in particular. */
function keyOf({ object }: Message): string {
  return object.kind === "File" || object.name === "" ? "" : objectKey(object);
}
