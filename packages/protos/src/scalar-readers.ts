import type protobuf from "protobufjs/light.js";
import { ProtoError } from "./proto-error.ts";

/** Reads one scalar without its tag, in the form that wire objects have it. */
export type ReadScalar = (reader: protobuf.Reader) => unknown;

/** What protobufjs reads 64-bit integers as; its own typings do not say more. */
interface LongInteger {
  toNumber(): number;
  toString(): string;
}

/** How to read a scalar type. */
export function readerOf(scalar: string): ReadScalar {
  const read = SCALAR_READERS.get(scalar);
  if (!read) throw new ProtoError("", `${scalar} is no scalar type`);
  return read;
}

const SCALAR_READERS: ReadonlyMap<string, ReadScalar> = new Map<string, ReadScalar>([
  ["double", (reader) => reader.double()],
  ["float", (reader) => shortestFloat(reader.float())],
  ["int32", (reader) => reader.int32()],
  ["uint32", (reader) => reader.uint32()],
  ["sint32", (reader) => reader.sint32()],
  ["fixed32", (reader) => reader.fixed32()],
  ["sfixed32", (reader) => reader.sfixed32()],
  ["int64", (reader) => toSafeNumber(reader.int64())],
  ["uint64", (reader) => toSafeNumber(reader.uint64())],
  ["sint64", (reader) => toSafeNumber(reader.sint64())],
  ["fixed64", (reader) => toSafeNumber(reader.fixed64())],
  ["sfixed64", (reader) => toSafeNumber(reader.sfixed64())],
  ["bool", (reader) => reader.bool()],
  ["string", (reader) => reader.string()],
  [
    "bytes",
    (reader) => {
      const view = reader.bytes();
      // A plain view of the input rather than a Buffer, which compares and prints otherwise.
      return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
    },
  ],
]);

function toSafeNumber(value: unknown): number | string {
  const long = value as LongInteger;
  const number = long.toNumber();
  return Number.isSafeInteger(number) ? number : long.toString();
}

/** The shortest decimal that names the same 32-bit float: 0.1 rather than 0.10000000149011612. */
function shortestFloat(value: number): number {
  for (let digits = 6; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return value;
}
