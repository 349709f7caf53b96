import type { TypeMap } from "../gen/types/type-map.ts";
import { ByteWriter } from "./byte-writer.ts";
import { ProtoError, suggestName, withOuterPath } from "./proto-error.ts";
import {
  describeValue,
  isDefaultValue,
  SCALAR_WRITERS,
  scalarWireType,
  WIRE_DELIMITED,
  type WriteValue,
  wireTypeOf,
  writeEnum,
} from "./scalar-writers.ts";
import { type FieldSchema, findMessage, type MessageSchema, type ScalarType } from "./schema.ts";

/** Full name of a message. */
export type TypeName = keyof TypeMap;

type Fields = Readonly<Record<string, unknown>>;

interface FieldEncoder {
  readonly field: FieldSchema;
  /** Writes the whole field, tags included. */
  readonly write: WriteValue;
}

interface MessageEncoder {
  readonly schema: MessageSchema;
  readonly byName: Map<string, FieldEncoder>;
}

/** Deeper nesting than this is refused by every protobuf reader. */
const MAX_DEPTH = 100;
const encoders = new Map<string, MessageEncoder>();
const writer = new ByteWriter();
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
    writeMessage(writer, findEncoder(typeName), message);
  } catch (cause) {
    throw withOuterPath(typeName, cause);
  }
  return writer.finish();
}

function findEncoder(typeName: string): MessageEncoder {
  const known = encoders.get(typeName);
  if (known) return known;
  const encoder = { schema: findMessage(typeName), byName: new Map<string, FieldEncoder>() };
  encoders.set(typeName, encoder);
  return encoder;
}

function writeMessage(out: ByteWriter, encoder: MessageEncoder, message: unknown): void {
  if (typeof message !== "object" || message === null || Array.isArray(message)) {
    throw new ProtoError("", `expected an object for ${encoder.schema.name}, got ${describeValue(message)}`);
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
  out: ByteWriter,
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
  const field = encoder.schema.byName.get(name);
  if (!field) {
    const hint = suggestName(name, encoder.schema.byName.keys());
    throw new ProtoError(name, `no such field in ${encoder.schema.name}${hint}`);
  }
  const fieldEncoder = { field, write: createFieldWriter(field) };
  encoder.byName.set(name, fieldEncoder);
  return fieldEncoder;
}

function createFieldWriter(field: FieldSchema): WriteValue {
  const writeValue = createValueWriter(field);
  const tag = ((field.id << 3) | wireTypeOf(field.value)) >>> 0;
  const delimitedTag = ((field.id << 3) | WIRE_DELIMITED) >>> 0;
  if (field.key !== undefined)
    return createMapWriter(field.key, delimitedTag, { writeValue, tag: wireTypeOf(field.value) });
  if (field.repeated) {
    return field.packed ? createPackedWriter(delimitedTag, writeValue) : createRepeatedWriter(tag, writeValue);
  }
  return (out, value) => {
    if (!field.hasPresence && isDefaultValue(field, value)) return;
    out.varint(tag);
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
    out.varint(tag);
    const start = out.open();
    writeElements(elements, out, { tag: undefined, writeValue });
    out.close(start);
  };
}

interface ElementWriter {
  /** Undefined for packed elements, which share one. */
  readonly tag: number | undefined;
  readonly writeValue: WriteValue;
}

function writeElements(elements: readonly unknown[], out: ByteWriter, { tag, writeValue }: ElementWriter): void {
  let index = 0;
  try {
    for (; index < elements.length; index++) {
      if (tag !== undefined) out.varint(tag);
      writeValue(out, elements[index]);
    }
  } catch (cause) {
    throw withOuterPath(`[${index}]`, cause);
  }
}

function createMapWriter(
  keyType: ScalarType,
  tag: number,
  value: { readonly writeValue: WriteValue; readonly tag: number },
): WriteValue {
  const writeKey = SCALAR_WRITERS[keyType];
  const keyTag = (1 << 3) | scalarWireType(keyType);
  const valueTag = (2 << 3) | value.tag;
  return (out, entries) => {
    if (typeof entries !== "object" || Array.isArray(entries)) {
      throw new ProtoError("", `expected a map, got ${describeValue(entries)}`);
    }
    const map = entries as Fields;
    const keys = Object.keys(map);
    for (const key of keys.length > 1 ? keys.sort() : keys) {
      if (map[key] === undefined) continue;
      out.varint(tag);
      const start = out.open();
      out.varint(keyTag);
      writeKey(out, parseMapKey(keyType, key));
      out.varint(valueTag);
      try {
        value.writeValue(out, map[key]);
      } catch (cause) {
        throw withOuterPath(`[${JSON.stringify(key)}]`, cause);
      }
      out.close(start);
    }
  };
}

/** Object keys are strings whatever the key type of the map. */
function parseMapKey(keyType: ScalarType, key: string): unknown {
  if (keyType === "string" || keyType.endsWith("64")) return key;
  return keyType === "bool" ? key === "true" : Number(key);
}

function createValueWriter(field: FieldSchema): WriteValue {
  if (field.value.kind === "scalar") return SCALAR_WRITERS[field.value.scalar];
  if (field.value.kind === "enum") {
    const schema = field.value.enumSchema;
    return (out, value) => writeEnum(out, schema, value);
  }
  // Looked up now and its fields only when met: recursive types would not end otherwise.
  const encoder = findEncoder(field.value.typeName);
  return (out, value) => {
    const start = out.open();
    writeMessage(out, encoder, value);
    out.close(start);
  };
}

function expectArray(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw new ProtoError("", `expected an array, got ${describeValue(value)}`);
  return value;
}
