/** What Meltemi has to say about an object that somebody wrote: a value, never an exception. */

/** Names one object. `namespace` is "" for objects of the whole cluster. */
export interface ObjectRef {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

/** Where a value was read: a file (as the user named it) with line and column from 1. */
export interface Position {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

export type MessageLevel = "error" | "warning" | "info";

export interface Message {
  readonly level: MessageLevel;
  /** Stable code for look-up in the documentation, such as "schema" or "unknown-field". */
  readonly code: string;
  readonly object: ObjectRef;
  /** Path of the field in the object, such as "spec.http[0].route[0].weight"; "" for the whole object. */
  readonly path: string;
  /** What is wrong and what would be right, for the person who wrote the object. */
  readonly text: string;
  readonly position?: Position;
}

/** Formats an object's name as "Kind namespace/name" ("Kind name" where there is no namespace). */
export function formatObjectRef(ref: ObjectRef): string {
  return ref.namespace === "" ? `${ref.kind} ${ref.name}` : `${ref.kind} ${ref.namespace}/${ref.name}`;
}

/** A key that is equal exactly for refs to the same object. */
export function objectKey(ref: ObjectRef): string {
  return `${ref.kind}/${ref.namespace}/${ref.name}`;
}

/** Formats a message as one line: "file:line field: reason (Kind namespace/name)". */
export function formatMessage(message: Message): string {
  const where = message.position === undefined ? "" : `${message.position.file}:${message.position.line} `;
  const field = message.path === "" ? "" : `${message.path}: `;
  return `${where}${field}${message.text} (${formatObjectRef(message.object)})`;
}
