import type {
  BoolValue,
  DoubleValue,
  Duration,
  ListValue,
  StringValue,
  Struct,
  UInt32Value,
  UInt64Value,
  Value,
} from "../gen/types/google/protobuf.ts";

/** Plain JSON. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json | undefined };

const MS_PER_SECOND = 1000;
const NANOS_PER_MS = 1_000_000;

/** A Duration from milliseconds; fractions count down to the nanosecond. */
export function duration(ms: number): Duration {
  const seconds = Math.trunc(ms / MS_PER_SECOND);
  const nanos = Math.round((ms - seconds * MS_PER_SECOND) * NANOS_PER_MS);
  // Unset rather than zero: proto3 has no other zero, and the object then equals its decoded self.
  return { ...(seconds === 0 ? {} : { seconds }), ...(nanos === 0 ? {} : { nanos }) };
}

/** Milliseconds of a Duration; undefined stays undefined. */
export function durationToMs(value: Duration): number;
export function durationToMs(value: Duration | undefined): number | undefined;
export function durationToMs(value: Duration | undefined): number | undefined {
  if (value === undefined) return undefined;
  return Number(value.seconds ?? 0) * MS_PER_SECOND + (value.nanos ?? 0) / NANOS_PER_MS;
}

export function u32(value: number): UInt32Value {
  return value === 0 ? {} : { value };
}

export function u64(value: number | string): UInt64Value {
  return Number(value) === 0 ? {} : { value };
}

export function bool(value: boolean): BoolValue {
  return value ? { value } : {};
}

export function str(value: string): StringValue {
  return value === "" ? {} : { value };
}

export function double(value: number): DoubleValue {
  return value === 0 ? {} : { value };
}

/** A Struct from a plain object; undefined members are left out. */
export function struct(object: { readonly [key: string]: Json | undefined }): Struct {
  const fields: Record<string, Value> = {};
  for (const [key, member] of Object.entries(object)) {
    if (member !== undefined) fields[key] = value(member);
  }
  return Object.keys(fields).length === 0 ? {} : { fields };
}

/** A Value from plain JSON. */
export function value(json: Json): Value {
  if (json === null) return { null_value: "NULL_VALUE" };
  if (typeof json === "string") return { string_value: json };
  if (typeof json === "number") return { number_value: json };
  if (typeof json === "boolean") return { bool_value: json };
  if (isList(json)) return { list_value: list(json) };
  return { struct_value: struct(json) };
}

/** Plain JSON from a Struct. */
export function structToJson(message: Struct): { readonly [key: string]: Json } {
  return Object.fromEntries(Object.entries(message.fields ?? {}).map(([key, member]) => [key, valueToJson(member)]));
}

/** Plain JSON from a Value; a Value without a kind is null. */
export function valueToJson(message: Value): Json {
  if (message.string_value !== undefined) return message.string_value;
  if (message.number_value !== undefined) return message.number_value;
  if (message.bool_value !== undefined) return message.bool_value;
  if (message.struct_value !== undefined) return structToJson(message.struct_value);
  if (message.list_value !== undefined) return (message.list_value.values ?? []).map((member) => valueToJson(member));
  return null;
}

function list(values: readonly Json[]): ListValue {
  return values.length === 0 ? {} : { values: values.map((member) => value(member)) };
}

function isList(json: Json): json is readonly Json[] {
  return Array.isArray(json);
}
