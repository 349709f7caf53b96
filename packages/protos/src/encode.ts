import protobuf from "protobufjs/light.js";
import type { TypeMap } from "../gen/types/type-map.ts";
import {
  enumOf,
  hasPresence,
  isDefaultValue,
  isLong,
  isPacked,
  keyTypeOf,
  messageOf,
  scalarWireType,
  WIRE_DELIMITED,
  wireTypeOf,
} from "./field-traits.ts";
import { ProtoError, suggestName, withOuterPath } from "./proto-error.ts";
import { describeValue, type WriteValue, writeEnum, writeScalar } from "./scalar-writers.ts";
import { findField, findMessage, nameOf } from "./schema.ts";

/** Full name of a message. */
export type TypeName = keyof TypeMap;

type Fields = Readonly<Record<string, unknown>>;

interface FieldEncoder {
  readonly field: protobuf.Field;
  /** Writes the whole field, tags included. */
  readonly write: WriteValue;
}

interface MessageEncoder {
  readonly type: protobuf.Type;
  readonly byName: Map<string, FieldEncoder>;
}

/** Deeper nesting than this is refused by every protobuf reader. */
const MAX_DEPTH = 100;
const encoders = new Map<protobuf.Type, MessageEncoder>();
/** One for all, as its buffer has then grown to the size of the largest message already. */
let writer = protobuf.Writer.create();
let depth = 0;

/**
 * Serializes a message. Fields go out in order of number and map entries in order of key, so that equal messages give
 * equal bytes. Throws `ProtoError` with the path on an unknown field, an unknown enum value or a value of the wrong
 * type; members that are undefined are left out.
 */
export function encode<K extends TypeName>(typeName: K, message: TypeMap[K]): Uint8Array {
  return encodeDynamic(typeName, message);
}

/** `encode` for a type known only at run time. */
export function encodeDynamic(typeName: string, message: unknown): Uint8Array {
  writer.reset();
  depth = 0;
  try {
    writeMessage(writer, findEncoder(findMessage(typeName)), message);
  } catch (cause) {
    // The parts left open would confuse the next message.
    writer = protobuf.Writer.create();
    throw withOuterPath(typeName, cause);
  }
  // A copy, as the writer's buffer is larger and may be part of one that Node shares out.
  return new Uint8Array(writer.finish(true));
}

function findEncoder(type: protobuf.Type): MessageEncoder {
  const known = encoders.get(type);
  if (known) return known;
  const encoder = { type, byName: new Map<string, FieldEncoder>() };
  encoders.set(type, encoder);
  return encoder;
}

function writeMessage(out: protobuf.Writer, encoder: MessageEncoder, message: unknown): void {
  if (typeof message !== "object" || message === null || Array.isArray(message)) {
    throw new ProtoError("", `expected an object for ${nameOf(encoder.type)}, got ${describeValue(message)}`);
  }
  if (++depth > MAX_DEPTH) throw new ProtoError("", "nested too deeply");
  const fields = message as Fields;
  if (isInOrder(encoder, fields)) {
    for (const name in fields) writeMember(out, encoder, { name, value: fields[name] });
  } else {
    const names = Object.keys(fields).filter((name) => isSet(fields[name]));
    names.sort((a, b) => findFieldEncoder(encoder, a).field.id - findFieldEncoder(encoder, b).field.id);
    for (const name of names) writeMember(out, encoder, { name, value: fields[name] });
  }
  depth--;
}

/** Builders mostly list members by field number, which makes sorting them a waste. */
function isInOrder(encoder: MessageEncoder, fields: Fields): boolean {
  let last = 0;
  for (const name in fields) {
    if (!isSet(fields[name])) continue;
    const { id } = findFieldEncoder(encoder, name).field;
    if (id < last) return false;
    last = id;
  }
  return true;
}

function writeMember(
  out: protobuf.Writer,
  encoder: MessageEncoder,
  { name, value }: { readonly name: string; readonly value: unknown },
): void {
  if (!isSet(value)) return;
  try {
    findFieldEncoder(encoder, name).write(out, value);
  } catch (cause) {
    throw withOuterPath(name, cause);
  }
}

function isSet(value: unknown): boolean {
  return value !== undefined && value !== null;
}

function findFieldEncoder(encoder: MessageEncoder, name: string): FieldEncoder {
  return encoder.byName.get(name) ?? addFieldEncoder(encoder, name);
}

function addFieldEncoder(encoder: MessageEncoder, name: string): FieldEncoder {
  const field = findField(encoder.type, name);
  if (!field) {
    const hint = suggestName(name, Object.keys(encoder.type.fields));
    throw new ProtoError(name, `no such field in ${nameOf(encoder.type)}${hint}`);
  }
  const fieldEncoder = { field, write: createFieldWriter(field) };
  encoder.byName.set(name, fieldEncoder);
  return fieldEncoder;
}

function createFieldWriter(field: protobuf.Field): WriteValue {
  const writeValue = createValueWriter(field);
  const tag = ((field.id << 3) | wireTypeOf(field)) >>> 0;
  const delimitedTag = ((field.id << 3) | WIRE_DELIMITED) >>> 0;
  const keyType = keyTypeOf(field);
  if (keyType !== undefined) return createMapWriter(keyType, delimitedTag, { writeValue, wireType: wireTypeOf(field) });
  if (field.repeated) {
    return isPacked(field) ? createPackedWriter(delimitedTag, writeValue) : createRepeatedWriter(tag, writeValue);
  }
  const omitsDefault = !hasPresence(field);
  return (out, value) => {
    if (omitsDefault && isDefaultValue(field, value)) return;
    out.uint32(tag);
    writeValue(out, value);
  };
}

function createRepeatedWriter(tag: number, writeValue: WriteValue): WriteValue {
  return (out, values) => writeElements(expectArray(values), out, { tag, writeValue });
}

function createPackedWriter(tag: number, writeValue: WriteValue): WriteValue {
  return (out, values) => {
    const elements = expectArray(values);
    if (elements.length === 0) return;
    out.uint32(tag).fork();
    writeElements(elements, out, { tag: undefined, writeValue });
    out.ldelim();
  };
}

interface ElementWriter {
  /** Undefined for packed elements, which share one. */
  readonly tag: number | undefined;
  readonly writeValue: WriteValue;
}

function writeElements(elements: readonly unknown[], out: protobuf.Writer, { tag, writeValue }: ElementWriter): void {
  let index = 0;
  try {
    for (; index < elements.length; index++) {
      if (tag !== undefined) out.uint32(tag);
      writeValue(out, elements[index]);
    }
  } catch (cause) {
    throw withOuterPath(`[${index}]`, cause);
  }
}

function createMapWriter(
  keyType: string,
  tag: number,
  value: { readonly writeValue: WriteValue; readonly wireType: number },
): WriteValue {
  const writeKey = writeScalar(keyType);
  const keyTag = (1 << 3) | scalarWireType(keyType);
  const valueTag = (2 << 3) | value.wireType;
  return (out, entries) => {
    if (typeof entries !== "object" || Array.isArray(entries)) {
      throw new ProtoError("", `expected a map, got ${describeValue(entries)}`);
    }
    const map = entries as Fields;
    const keys = Object.keys(map);
    for (const key of keys.length > 1 ? keys.sort() : keys) {
      if (map[key] === undefined) continue;
      out.uint32(tag).fork().uint32(keyTag);
      writeKey(out, parseMapKey(keyType, key));
      out.uint32(valueTag);
      try {
        value.writeValue(out, map[key]);
      } catch (cause) {
        throw withOuterPath(`[${JSON.stringify(key)}]`, cause);
      }
      out.ldelim();
    }
  };
}

/** Object keys are strings whatever the key type of the map. */
function parseMapKey(keyType: string, key: string): unknown {
  if (keyType === "string" || isLong(keyType)) return key;
  return keyType === "bool" ? key === "true" : Number(key);
}

function createValueWriter(field: protobuf.Field): WriteValue {
  const enumType = enumOf(field);
  if (enumType) return (out, value) => writeEnum(out, enumType, value);
  const messageType = messageOf(field);
  if (!messageType) return writeScalar(field.type);
  // Looked up now and its fields only when met: recursive types would not end otherwise.
  const encoder = findEncoder(messageType);
  return (out, value) => {
    out.fork();
    writeMessage(out, encoder, value);
    out.ldelim();
  };
}

function expectArray(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw new ProtoError("", `expected an array, got ${describeValue(value)}`);
  return value;
}
