import fc from "fast-check";
import type protobuf from "protobufjs";
import { typeUrl } from "../src/any.ts";
import { encodeDynamic } from "../src/encode.ts";
import { enumNumber, enumOf, hasPresence, keyTypeOf, messageOf, oneofOf } from "../src/field-traits.ts";
import { findMessage, nameOf } from "../src/schema.ts";

type Fields = Readonly<Record<string, unknown>>;

/**
 * Random valid wire objects of a type, in the normal form `decode` gives: no members with default values, no empty
 * lists, one member of each oneof, members in order of number. `depth` bounds the nesting.
 */
export function arbitraryMessage(typeName: string, depth = 3): fc.Arbitrary<Fields> {
  if (typeName === "google.protobuf.Any") return arbitraryAny();
  if (typeName === "google.protobuf.Duration" || typeName === "google.protobuf.Timestamp") return arbitraryTime();
  if (typeName === "google.protobuf.Value") return arbitraryValue(depth);
  const fields = findMessage(typeName).fieldsArray;
  const members = Object.fromEntries(
    fields.filter((field) => depth > 0 || !messageOf(field)).map((f) => [f.name, arbitraryField(f, depth)]),
  );
  const names = Object.keys(members);
  return fc
    .subarray(names, { maxLength: Math.min(names.length, 6) })
    .map((chosen) => onePerOneof(fields, chosen))
    .chain((chosen) => fc.record(Object.fromEntries(chosen.map((name) => [name, members[name] ?? fc.constant(0)]))));
}

function onePerOneof(fields: readonly protobuf.Field[], chosen: readonly string[]): readonly string[] {
  const taken = new Set<string>();
  return fields
    .filter((field) => {
      const { name } = field;
      const oneof = oneofOf(field);
      if (!chosen.includes(name) || (oneof !== undefined && taken.has(oneof))) return false;
      if (oneof !== undefined) taken.add(oneof);
      return true;
    })
    .map(({ name }) => name);
}

function arbitraryField(field: protobuf.Field, depth: number): fc.Arbitrary<unknown> {
  const value = arbitraryValueOf(field, depth - 1);
  const keyType = keyTypeOf(field);
  if (keyType !== undefined) {
    const key = keyType === "string" ? fc.stringMatching(/^[a-z_.\u00e9]{1,8}$/) : fc.nat(1000).map(String);
    const entries = fc.uniqueArray(fc.tuple(key, value), { minLength: 1, maxLength: 3, selector: ([name]) => name });
    return entries.map((pairs) => Object.fromEntries(pairs));
  }
  if (field.repeated) return fc.array(value, { minLength: 1, maxLength: 3 });
  return hasPresence(field) ? value : value.filter((member) => !isZero(field, member));
}

function isZero(field: protobuf.Field, value: unknown): boolean {
  const enumType = enumOf(field);
  if (enumType) return enumNumber(enumType, value) === 0;
  return value === 0 || value === "" || value === false || (value instanceof Uint8Array && value.length === 0);
}

function arbitraryValueOf(field: protobuf.Field, depth: number): fc.Arbitrary<unknown> {
  const messageType = messageOf(field);
  if (messageType) return arbitraryMessage(nameOf(messageType), depth);
  const enumType = enumOf(field);
  // Aliases of one number are left to one name, as decoding cannot tell them apart.
  if (enumType) return fc.constantFrom(...Object.values(enumType.valuesById));
  return arbitraryScalar(field.type);
}

function arbitraryScalar(scalar: string): fc.Arbitrary<unknown> {
  switch (scalar) {
    case "string":
      return fc.oneof(fc.string({ maxLength: 60 }), fc.string({ unit: "grapheme", maxLength: 60 }));
    case "bytes":
      return fc.uint8Array({ maxLength: 200 }).map((bytes) => new Uint8Array(bytes));
    case "bool":
      return fc.boolean();
    case "double":
      return fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0);
    case "float":
      return fc.integer({ min: -1000, max: 1000 }).map((value) => value / 8);
    case "uint32":
    case "fixed32":
      return fc.integer({ min: 0, max: 0xffffffff });
    case "uint64":
    case "fixed64":
      return arbitraryLong(0n, 2n ** 64n - 1n);
    case "int64":
    case "sint64":
    case "sfixed64":
      return arbitraryLong(-(2n ** 63n), 2n ** 63n - 1n);
    default:
      return fc.integer();
  }
}

/** A number within the safe range, a decimal string beyond it. */
function arbitraryLong(min: bigint, max: bigint): fc.Arbitrary<number | string> {
  return fc.oneof(fc.nat(), fc.bigInt({ min, max })).map((value) => {
    return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  });
}

function arbitraryTime(): fc.Arbitrary<Fields> {
  return fc.record({
    seconds: fc.integer({ min: 1, max: 2_000_000_000 }),
    nanos: fc.integer({ min: 1, max: 999_999_999 }),
  });
}

/** The kinds with a JSON form; numbers without digits have none inside a Value. */
function arbitraryValue(depth: number): fc.Arbitrary<Fields> {
  const leaf: fc.Arbitrary<Fields> = fc.oneof(
    fc.string().map((text) => ({ string_value: text })),
    fc.integer().map((number) => ({ number_value: number })),
    fc.boolean().map((flag) => ({ bool_value: flag })),
    fc.constant({ null_value: "NULL_VALUE" }),
  );
  if (depth <= 0) return leaf;
  return fc.oneof(
    leaf,
    arbitraryMessage("google.protobuf.Struct", depth - 1).map((inner) => ({ struct_value: inner })),
    arbitraryMessage("google.protobuf.ListValue", depth - 1).map((inner) => ({ list_value: inner })),
  );
}

function arbitraryAny(): fc.Arbitrary<Fields> {
  const typeName = "envoy.config.core.v3.SocketAddress";
  return arbitraryMessage(typeName, 2)
    .map((message) => encodeDynamic(typeName, message))
    .map((value) => ({ type_url: typeUrl(typeName), ...(value.length === 0 ? {} : { value }) }));
}
