import type { ByteWriter } from "./byte-writer.ts";
import { ProtoError, suggestName } from "./proto-error.ts";
import type { EnumSchema, FieldSchema, ScalarType, ValueSchema } from "./schema.ts";

/** Writes one value without its tag; throws `ProtoError` when it is of the wrong type or out of range. */
export type WriteValue = (writer: ByteWriter, value: unknown) => void;

const WIRE_VARINT = 0;
const WIRE_64 = 1;
export const WIRE_DELIMITED = 2;
const WIRE_32 = 5;

/** Wire type of a scalar. */
export function scalarWireType(scalar: ScalarType): number {
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

/** Wire type of one value of a field. */
export function wireTypeOf(value: ValueSchema): number {
  if (value.kind === "message") return WIRE_DELIMITED;
  return value.kind === "enum" ? WIRE_VARINT : scalarWireType(value.scalar);
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

/** Names are the rule; a number stands for a value newer than the definitions, as proto3 enums are open. */
export function writeEnum(out: ByteWriter, schema: EnumSchema, value: unknown): void {
  const number = typeof value === "number" ? value : schema.numbers.get(value as string);
  if (number === undefined || !Number.isInteger(number)) {
    const hint = suggestName(String(value), schema.numbers.keys());
    throw new ProtoError("", `${describeValue(value)} is no value of ${schema.name}${hint}`);
  }
  writeInt32(out, number);
}

function writeInt32(out: ByteWriter, value: number): void {
  if (value < 0) out.varint64(BigInt(value));
  else out.varint(value);
}

export const SCALAR_WRITERS: Readonly<Record<ScalarType, WriteValue>> = {
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

/** A value as an error message shows it. */
export function describeValue(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.slice(0, 60));
  if (value === null || typeof value !== "object") return String(value);
  if (value instanceof Uint8Array) return "bytes";
  return Array.isArray(value) ? "an array" : "an object";
}
