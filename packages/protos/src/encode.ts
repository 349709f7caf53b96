import type { TypeMap } from "../gen/types/type-map.ts";
import { ByteWriter } from "./byte-writer.ts";
import { ProtoError, suggestName, withOuterPath } from "./proto-error.ts";
import { type EnumSchema, type FieldSchema, findMessage, type MessageSchema, type ScalarType } from "./schema.ts";

/** Full name of a message. */
export type TypeName = keyof TypeMap;

type Fields = Readonly<Record<string, unknown>>;
/** Writes one value without its tag. */
type WriteValue = (writer: ByteWriter, value: unknown) => void;

interface FieldEncoder {
  readonly field: FieldSchema;
  /** Writes the whole field, tags included. */
  readonly write: WriteValue;
}

interface MessageEncoder {
  readonly schema: MessageSchema;
  readonly byName: Map<string, FieldEncoder>;
}

const WIRE_VARINT = 0;
const WIRE_64 = 1;
const WIRE_DELIMITED = 2;
const WIRE_32 = 5;

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

/** Wire type of a scalar. */
export function wireTypeOf(scalar: ScalarType): number {
  switch (scalar) {
    case "double":
    case "fixed64":
    case "sfixed64":
      return WIRE_64;
    case "float":
    case "fixed32":
    case "sfixed32":
      return WIRE_32;
    case "string":
    case "bytes":
      return WIRE_DELIMITED;
    default:
      return WIRE_VARINT;
  }
}

/** The default value of a field without presence, which never goes on the wire. */
export function isDefaultValue(field: FieldSchema, value: unknown): boolean {
  if (field.value.kind === "enum") return value === 0 || field.value.enumSchema.numbers.get(String(value)) === 0;
  if (value instanceof Uint8Array) return value.length === 0;
  return Object.is(value, 0) || value === "" || value === false || (value === "0" && isLong(field));
}

function isLong(field: FieldSchema): boolean {
  return field.value.kind === "scalar" && field.value.scalar.endsWith("64");
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
  for (const found of orderedFields(encoder, fields)) {
    try {
      found.write(out, fields[found.field.name]);
    } catch (cause) {
      throw withOuterPath(found.field.name, cause);
    }
  }
  depth--;
}

/** Encoders of the members that are set, by field number. Builders mostly write them in that order already. */
function orderedFields(encoder: MessageEncoder, fields: Fields): readonly FieldEncoder[] {
  const found: FieldEncoder[] = [];
  let last = 0;
  let isOrdered = true;
  for (const name in fields) {
    const value = fields[name];
    if (value === undefined || value === null) continue;
    const fieldEncoder = encoder.byName.get(name) ?? addFieldEncoder(encoder, name);
    if (fieldEncoder.field.id < last) isOrdered = false;
    last = fieldEncoder.field.id;
    found.push(fieldEncoder);
  }
  return isOrdered ? found : found.sort((a, b) => a.field.id - b.field.id);
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
  const tag = ((field.id << 3) | valueWireType(field)) >>> 0;
  const delimitedTag = ((field.id << 3) | WIRE_DELIMITED) >>> 0;
  if (field.key !== undefined)
    return createMapWriter(field.key, delimitedTag, { writeValue, tag: valueWireType(field) });
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
  return (out, values) => {
    const elements = expectArray(values);
    for (let index = 0; index < elements.length; index++) {
      out.varint(tag);
      writeElement(index, () => writeValue(out, elements[index]));
    }
  };
}

function createPackedWriter(tag: number, writeValue: WriteValue): WriteValue {
  return (out, values) => {
    const elements = expectArray(values);
    if (elements.length === 0) return;
    out.varint(tag);
    const start = out.open();
    for (let index = 0; index < elements.length; index++) {
      writeElement(index, () => writeValue(out, elements[index]));
    }
    out.close(start);
  };
}

function writeElement(index: number, write: () => void): void {
  try {
    write();
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
  const keyTag = (1 << 3) | wireTypeOf(keyType);
  const valueTag = (2 << 3) | value.tag;
  return (out, entries) => {
    if (typeof entries !== "object" || Array.isArray(entries)) {
      throw new ProtoError("", `expected a map, got ${describeValue(entries)}`);
    }
    const map = entries as Fields;
    for (const key of Object.keys(map).sort()) {
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

function valueWireType(field: FieldSchema): number {
  if (field.value.kind === "message") return WIRE_DELIMITED;
  return field.value.kind === "enum" ? WIRE_VARINT : wireTypeOf(field.value.scalar);
}

function createValueWriter(field: FieldSchema): WriteValue {
  if (field.value.kind === "scalar") return SCALAR_WRITERS[field.value.scalar];
  if (field.value.kind === "enum") return createEnumWriter(field.value.enumSchema);
  // Looked up now and its fields only when met: recursive types would not end otherwise.
  const encoder = findEncoder(field.value.typeName);
  return (out, value) => {
    const start = out.open();
    writeMessage(out, encoder, value);
    out.close(start);
  };
}

/** Names are the rule; a number stands for a value newer than the definitions, as proto3 enums are open. */
function createEnumWriter(schema: EnumSchema): WriteValue {
  return (out, value) => {
    const number = typeof value === "number" ? value : schema.numbers.get(value as string);
    if (number === undefined || !Number.isInteger(number)) {
      const hint = suggestName(String(value), schema.numbers.keys());
      throw new ProtoError("", `${describeValue(value)} is no value of ${schema.name}${hint}`);
    }
    writeInt32(out, number);
  };
}

function writeInt32(out: ByteWriter, value: number): void {
  if (value < 0) out.varint64(BigInt(value));
  else out.varint(value);
}

const SCALAR_WRITERS: Readonly<Record<ScalarType, WriteValue>> = {
  double: (out, value) => out.double(expectNumber(value)),
  float: (out, value) => out.float(expectNumber(value)),
  int32: (out, value) => writeInt32(out, expectInteger(value, -0x80000000, 0x7fffffff)),
  uint32: (out, value) => out.varint(expectInteger(value, 0, 0xffffffff)),
  sint32: (out, value) => {
    const number = expectInteger(value, -0x80000000, 0x7fffffff);
    out.varint((number << 1) ^ (number >> 31));
  },
  fixed32: (out, value) => out.fixed32(expectInteger(value, 0, 0xffffffff)),
  sfixed32: (out, value) => out.fixed32(expectInteger(value, -0x80000000, 0x7fffffff)),
  int64: writeVarint64,
  uint64: writeVarint64,
  sint64: (out, value) => {
    const long = expectLong(value);
    out.varint64((long << 1n) ^ (long >> 63n));
  },
  fixed64: (out, value) => out.fixed64(expectLong(value)),
  sfixed64: (out, value) => out.fixed64(expectLong(value)),
  bool: (out, value) => {
    if (typeof value !== "boolean") throw new ProtoError("", `expected a boolean, got ${describeValue(value)}`);
    out.varint(value ? 1 : 0);
  },
  string: (out, value) => {
    if (typeof value !== "string") throw new ProtoError("", `expected a string, got ${describeValue(value)}`);
    out.string(value);
  },
  bytes: (out, value) => {
    if (!(value instanceof Uint8Array)) throw new ProtoError("", `expected bytes, got ${describeValue(value)}`);
    out.bytes(value);
  },
};

function writeVarint64(out: ByteWriter, value: unknown): void {
  // Almost every 64-bit number met (seconds, counters) fits 32 bits, where no BigInt is needed.
  if (typeof value === "number" && value >= 0 && value <= 0xffffffff && Number.isInteger(value)) out.varint(value);
  else out.varint64(expectLong(value));
}

function expectNumber(value: unknown): number {
  if (typeof value !== "number") throw new ProtoError("", `expected a number, got ${describeValue(value)}`);
  return value;
}

function expectInteger(value: unknown, min: number, max: number): number {
  if (typeof value !== "number" || !Number.isInteger(value) || value < min || value > max) {
    throw new ProtoError("", `expected an integer from ${min} to ${max}, got ${describeValue(value)}`);
  }
  return value;
}

function expectLong(value: unknown): bigint {
  if (typeof value === "number" && Number.isSafeInteger(value)) return BigInt(value);
  if (typeof value === "string" && /^-?\d+$/.test(value)) return BigInt(value);
  throw new ProtoError("", `expected a 64-bit integer, got ${describeValue(value)}`);
}

function expectArray(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw new ProtoError("", `expected an array, got ${describeValue(value)}`);
  return value;
}

function describeValue(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.slice(0, 60));
  if (value === null || typeof value !== "object") return String(value);
  if (value instanceof Uint8Array) return "bytes";
  return Array.isArray(value) ? "an array" : "an object";
}
