import type protobuf from "protobufjs/light.js";
import { hasPresence, isDefaultValue, keyTypeOf, messageOf } from "./field-traits.ts";
import { findField, findMessage, nameOf } from "./schema.ts";

type Fields = Readonly<Record<string, unknown>>;

export interface MergeOptions {
  /** Lists of the second message take the place of those of the first; otherwise they are appended to them. */
  readonly replaceLists?: boolean;
}

/**
 * Two wire objects of one type as one, by protobuf's rules: what the second has set wins, messages within are merged,
 * entries of maps are replaced, lists appended. A scalar without presence that has its default value is not set. Unlike
 * protobuf, a Duration is replaced as a whole (half of each would be a third; Istio: pkg/proto/merge), and so is an Any of
 * another type. Neither input is changed, and what did not change is shared with the first. Throws `ProtoError` for an
 * unknown type.
 */
export function mergeMessages(
  typeName: string,
  [into, from]: readonly [Fields, Fields],
  options: MergeOptions = {},
): Fields {
  return mergeFields(findMessage(typeName), [into, from], options);
}

function mergeFields(type: protobuf.Type, [into, from]: readonly [Fields, Fields], options: MergeOptions): Fields {
  const merged: Record<string, unknown> = { ...into };
  for (const [name, value] of Object.entries(from)) {
    const field = findField(type, name);
    if (field === undefined || value === undefined || !isSet(field, value)) continue;
    if (field.partOf) clearOthers(type, field, merged);
    merged[name] = mergeField(field, [merged[name], value], options);
  }
  return merged;
}

function isSet(field: protobuf.Field, value: unknown): boolean {
  if (keyTypeOf(field) !== undefined) return Object.keys(value as object).length > 0;
  if (field.repeated) return (value as readonly unknown[]).length > 0;
  return hasPresence(field) || !isDefaultValue(field, value);
}

function clearOthers(type: protobuf.Type, field: protobuf.Field, merged: Record<string, unknown>): void {
  for (const name of Object.keys(merged)) {
    if (name !== field.name && findField(type, name)?.partOf === field.partOf) delete merged[name];
  }
}

function mergeField(field: protobuf.Field, [into, from]: readonly [unknown, unknown], options: MergeOptions): unknown {
  if (into === undefined) return from;
  if (keyTypeOf(field) !== undefined) return { ...(into as Fields), ...(from as Fields) };
  if (field.repeated) {
    return options.replaceLists === true ? from : [...(into as readonly unknown[]), ...(from as readonly unknown[])];
  }
  const type = messageOf(field);
  if (type === undefined || isReplaced(nameOf(type), [into as Fields, from as Fields])) return from;
  return mergeFields(type, [into as Fields, from as Fields], options);
}

function isReplaced(typeName: string, [into, from]: readonly [Fields, Fields]): boolean {
  if (typeName === "google.protobuf.Any") return into["type_url"] !== from["type_url"];
  return typeName === "google.protobuf.Duration";
}
