/** The objects that one text holds, and what is wrong with it. */
import type { MeshObject } from "../api/kinds.ts";
import { refOf } from "../api/object.ts";
import { type ParsedObject, parseObjects } from "../api/parse.ts";
import { type Message, type ObjectRef, objectKey } from "../lib/message.ts";
import { parseYamlDocuments } from "./yaml-documents.ts";

/** What a text says, document by document. */
export interface Content {
  /** Good objects by key (objectKey), in the order of the documents. */
  readonly objects: ReadonlyMap<string, MeshObject>;
  readonly messages: readonly Message[];
  /** Keys of objects that are there, but with errors. */
  readonly badKeys: ReadonlySet<string>;
  /** A part of the text could not even be read as an object with a name: nobody knows which objects it is about. */
  readonly isBroken: boolean;
}

export const emptyContent: Content = { objects: new Map(), messages: [], badKeys: new Set(), isBroken: false };

/** Names a whole text (a file) in messages that are about no object in particular. */
export const fileRef = (file: string): ObjectRef => ({ kind: "File", namespace: "", name: file });

/** Parses the documents of a text. The first of two documents for one object counts, the other is an error. */
export function parseContent(text: string, file: string): Content {
  const building: Building = { objects: new Map(), messages: [], badKeys: new Set(), isBroken: false };
  for (const document of parseYamlDocuments(text, file)) {
    if (document.type === "error") {
      building.isBroken = true;
      const { text: reason, position } = document;
      building.messages.push({ level: "error", code: "yaml", object: fileRef(file), path: "", text: reason, position });
      continue;
    }
    for (const parsed of parseObjects(document.value, { positionOf: document.positionOf }))
      addParsed(building, parsed, file);
  }
  return building;
}

interface Building {
  readonly objects: Map<string, MeshObject>;
  readonly messages: Message[];
  readonly badKeys: Set<string>;
  isBroken: boolean;
}

function addParsed(building: Building, { object, ref, messages }: ParsedObject, file: string): void {
  const isNameless = ref.kind === "" || ref.name === "";
  building.messages.push(
    ...(ref.kind === "" ? messages.map((message) => ({ ...message, object: fileRef(file) })) : messages),
  );
  if (object === undefined) {
    const hasError = messages.some((message) => message.level === "error");
    if (hasError && isNameless) building.isBroken = true;
    else if (hasError) building.badKeys.add(objectKey(ref));
    return;
  }
  const key = objectKey(ref);
  const first = building.objects.get(key);
  if (first === undefined) building.objects.set(key, object);
  else building.messages.push(describeDuplicate(object, first));
}

/** Says that an object is given twice and which one counts. */
export function describeDuplicate(object: MeshObject, first: MeshObject): Message {
  const at = first.position === undefined ? "before" : `in ${first.position.file}:${first.position.line}`;
  const { position } = object;
  const text = `is already given ${at}, which counts; this one is left out`;
  return {
    level: "error",
    code: "duplicate-object",
    object: refOf(object),
    path: "",
    text,
    ...(position === undefined ? {} : { position }),
  };
}

/**
 * The objects that count after a text changed: those of the new text, and of the old one those that are bad now. A text
 * with a part that cannot be read at all may be half-written: then everything that is missing stays as it was.
 */
export function keepLastGood(before: Content, after: Content): Content {
  const kept = [...before.objects].filter(
    ([key]) => !after.objects.has(key) && (after.isBroken || after.badKeys.has(key)),
  );
  return kept.length === 0 ? after : { ...after, objects: new Map([...after.objects, ...kept]) };
}
