import type protobuf from "protobufjs/light.js";
import { enumNumber } from "./field-traits.ts";
import { ProtoError, suggestName } from "./proto-error.ts";
import { nameOf } from "./schema.ts";

/** Writes one value without its tag; throws `ProtoError` when it is of the wrong type or out of range. */
export type WriteValue = (writer: protobuf.Writer, value: unknown) => void;

/** Names are the rule; a number stands for a value newer than the definitions, as proto3 enums are open. */
export function writeEnum(out: protobuf.Writer, type: protobuf.Enum, value: unknown): void {
  const number = typeof value === "number" ? value : enumNumber(type, value);
  if (number === undefined || !Number.isInteger(number)) {
    const hint = suggestName(String(value), Object.keys(type.values));
    throw new ProtoError("", `${describeValue(value)} is no value of ${nameOf(type)}${hint}`);
  }
  out.int32(number);
}

/** Writes one scalar. protobufjs would convert or truncate what does not fit its type, so that is refused before. */
export function writeScalar(scalar: string): WriteValue {
  const write = SCALAR_WRITERS.get(scalar);
  if (!write) throw new ProtoError("", `${scalar} is no scalar type`);
  return write;
}

const SCALAR_WRITERS: ReadonlyMap<string, WriteValue> = new Map<string, WriteValue>([
  ["double", (out, value) => out.double(expectNumber(value))],
  ["float", (out, value) => out.float(expectNumber(value))],
  ["int32", (out, value) => out.int32(expectInteger(value, -0x80000000, 0x7fffffff))],
  ["uint32", (out, value) => out.uint32(expectInteger(value, 0, 0xffffffff))],
  ["sint32", (out, value) => out.sint32(expectInteger(value, -0x80000000, 0x7fffffff))],
  ["fixed32", (out, value) => out.fixed32(expectInteger(value, 0, 0xffffffff))],
  ["sfixed32", (out, value) => out.sfixed32(expectInteger(value, -0x80000000, 0x7fffffff))],
  ["int64", (out, value) => out.int64(expectLong(value))],
  ["uint64", (out, value) => out.uint64(expectLong(value))],
  ["sint64", (out, value) => out.sint64(expectLong(value))],
  ["fixed64", (out, value) => out.fixed64(expectLong(value))],
  ["sfixed64", (out, value) => out.sfixed64(expectLong(value))],
  [
    "bool",
    (out, value) => {
      if (typeof value !== "boolean") throw new ProtoError("", `expected a boolean, got ${describeValue(value)}`);
      out.bool(value);
    },
  ],
  [
    "string",
    (out, value) => {
      if (typeof value !== "string") throw new ProtoError("", `expected a string, got ${describeValue(value)}`);
      out.string(value);
    },
  ],
  [
    "bytes",
    (out, value) => {
      if (!(value instanceof Uint8Array)) throw new ProtoError("", `expected bytes, got ${describeValue(value)}`);
      out.bytes(value);
    },
  ],
]);

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

function expectLong(value: unknown): number | string {
  if (typeof value === "number" && Number.isSafeInteger(value)) return value;
  if (typeof value === "string" && /^-?\d+$/.test(value)) return value;
  throw new ProtoError("", `expected a 64-bit integer, got ${describeValue(value)}`);
}

/** A value as an error message shows it. */
export function describeValue(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.slice(0, 60));
  if (value === null || typeof value !== "object") return String(value);
  if (value instanceof Uint8Array) return "bytes";
  return Array.isArray(value) ? "an array" : "an object";
}
