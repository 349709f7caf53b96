import type { TypeMap } from "../gen/types/type-map.ts";
import { ByteReader } from "./byte-reader.ts";
import type { TypeName } from "./encode.ts";
import { ProtoError, withOuterPath } from "./proto-error.ts";
import { isDefaultValue, scalarWireType, WIRE_DELIMITED, wireTypeOf } from "./scalar-writers.ts";
import { type FieldSchema, findMessage, type MessageSchema, type ScalarType, type ValueSchema } from "./schema.ts";

type Fields = Record<string, unknown>;

const MAX_DEPTH = 100;

/**
 * Parses a message into a plain object: snake_case members, enums by name (by number when newer than the
 * definitions), 64-bit integers as numbers or, beyond the safe range, as decimal strings. Unset members are absent, an
 * Any stays `{type_url, value}` and unknown fields are dropped. Bytes are views of the input: do not reuse its buffer.
 * Throws `ProtoError` on truncated or malformed input.
 */
export function decode<K extends TypeName>(typeName: K, bytes: Uint8Array): TypeMap[K] {
  return decodeDynamic(typeName, bytes) as TypeMap[K];
}

/** `decode` for a type known only at run time. */
export function decodeDynamic(typeName: string, bytes: Uint8Array): Readonly<Record<string, unknown>> {
  try {
    return readMessage(new ByteReader(bytes), findMessage(typeName), { into: {}, depth: 0 });
  } catch (cause) {
    throw withOuterPath(typeName, cause);
  }
}

interface Target {
  readonly into: Fields;
  readonly depth: number;
}

function readMessage(reader: ByteReader, schema: MessageSchema, target: Target): Fields {
  if (target.depth > MAX_DEPTH) throw new ProtoError("", "nested too deeply");
  while (reader.position < reader.end) {
    const tag = reader.varint();
    const field = schema.byId.get(tag >>> 3);
    if (!field) {
      reader.skip(tag & 7);
      continue;
    }
    try {
      readField(reader, { schema, field, wireType: tag & 7 }, target);
    } catch (cause) {
      throw withOuterPath(field.name, cause);
    }
  }
  return target.into;
}

interface FieldHeader {
  readonly schema: MessageSchema;
  readonly field: FieldSchema;
  readonly wireType: number;
}

function readField(reader: ByteReader, header: FieldHeader, target: Target): void {
  const { field, wireType } = header;
  const expected = wireTypeOf(field.value);
  if (field.key !== undefined && wireType === WIRE_DELIMITED) {
    readMapEntry(reader.part(), field, target);
  } else if (field.repeated && wireType === WIRE_DELIMITED && expected !== WIRE_DELIMITED) {
    // A reader must take the packed form whether or not the field is declared so.
    const part = reader.part();
    while (part.position < part.end) append(target, field, readValue(part, field.value, target));
  } else if (wireType !== expected) {
    reader.skip(wireType);
  } else if (field.repeated) {
    append(target, field, readValue(reader, field.value, { into: {}, depth: target.depth }));
  } else {
    readSingular(reader, header, target);
  }
}

function readSingular(reader: ByteReader, { schema, field }: FieldHeader, { into, depth }: Target): void {
  if (field.oneof !== undefined) clearOneof(schema, field, into);
  // A message field that comes twice is merged, as the protobuf rules ask.
  const previous = field.value.kind === "message" ? (into[field.name] as Fields | undefined) : undefined;
  const value = readValue(reader, field.value, { into: previous ?? {}, depth });
  if (field.hasPresence || !isDefaultValue(field, value)) setMember(into, field.name, value);
  else delete into[field.name];
}

function clearOneof(schema: MessageSchema, field: FieldSchema, into: Fields): void {
  for (const name of Object.keys(into)) {
    if (name !== field.name && schema.byName.get(name)?.oneof === field.oneof) delete into[name];
  }
}

function append({ into }: Target, field: FieldSchema, value: unknown): void {
  const list = into[field.name];
  if (Array.isArray(list)) list.push(value);
  else into[field.name] = [value];
}

function readMapEntry(part: ByteReader, field: FieldSchema, target: Target): void {
  let key: unknown = field.key === "string" ? "" : readScalarDefault(field.key);
  let value: unknown;
  while (part.position < part.end) {
    const tag = part.varint();
    if (tag >>> 3 === 1 && field.key !== undefined && (tag & 7) === scalarWireType(field.key)) {
      key = readScalar(part, field.key);
    } else if (tag >>> 3 === 2 && (tag & 7) === wireTypeOf(field.value)) {
      value = readValue(part, field.value, { into: {}, depth: target.depth });
    } else {
      part.skip(tag & 7);
    }
  }
  target.into[field.name] ??= {};
  setMember(target.into[field.name] as Fields, String(key), value ?? defaultValue(field.value));
}

/** Assigns even the one key that plain assignment would take for the object's prototype. */
function setMember(into: Fields, name: string, value: unknown): void {
  if (name === "__proto__") {
    Object.defineProperty(into, name, { value, enumerable: true, configurable: true, writable: true });
  } else {
    into[name] = value;
  }
}

function readValue(reader: ByteReader, value: ValueSchema, target: Target): unknown {
  if (value.kind === "scalar") return readScalar(reader, value.scalar);
  if (value.kind === "enum") {
    const number = reader.varint() | 0;
    return value.enumSchema.names.get(number) ?? number;
  }
  return readMessage(reader.part(), findMessage(value.typeName), { into: target.into, depth: target.depth + 1 });
}

function defaultValue(value: ValueSchema): unknown {
  if (value.kind === "message") return {};
  return value.kind === "enum" ? (value.enumSchema.names.get(0) ?? 0) : readScalarDefault(value.scalar);
}

function readScalarDefault(scalar: ScalarType | undefined): unknown {
  if (scalar === "string") return "";
  if (scalar === "bool") return false;
  return scalar === "bytes" ? new Uint8Array() : 0;
}

function readScalar(reader: ByteReader, scalar: ScalarType): unknown {
  return SCALAR_READERS[scalar](reader);
}

const SCALAR_READERS: Readonly<Record<ScalarType, (reader: ByteReader) => unknown>> = {
  double: (reader) => reader.double(),
  float: (reader) => shortestFloat(reader.float()),
  int32: (reader) => reader.varint() | 0,
  uint32: (reader) => reader.varint(),
  sint32: (reader) => {
    const raw = reader.varint();
    return (raw >>> 1) ^ -(raw & 1);
  },
  fixed32: (reader) => reader.fixed32(),
  sfixed32: (reader) => reader.fixed32() | 0,
  int64: (reader) => toSafeNumber(BigInt.asIntN(64, reader.varint64())),
  uint64: (reader) => toSafeNumber(reader.varint64()),
  sint64: (reader) => {
    const raw = reader.varint64();
    return toSafeNumber((raw >> 1n) ^ -(raw & 1n));
  },
  fixed64: (reader) => toSafeNumber(reader.fixed64()),
  sfixed64: (reader) => toSafeNumber(BigInt.asIntN(64, reader.fixed64())),
  bool: (reader) => reader.varint64() !== 0n,
  string: (reader) => reader.string(),
  bytes: (reader) => reader.bytes(),
};

function toSafeNumber(value: bigint): number | string {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : String(value);
}

/** The shortest decimal that names the same 32-bit float: 0.1 rather than 0.10000000149011612. */
function shortestFloat(value: number): number {
  for (let digits = 6; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return value;
}
