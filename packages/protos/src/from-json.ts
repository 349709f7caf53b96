import type protobuf from "protobufjs/light.js";
import type { TypeMap } from "../gen/types/type-map.ts";
import { isTypeName, typeNameOf } from "./any.ts";
import { type Json, struct, value as toValue } from "./builders.ts";
import { encodeDynamic, type TypeName } from "./encode.ts";
import { enumNumber, enumOf, isDefaultValue, isLong, keyTypeOf, messageOf, oneofOf } from "./field-traits.ts";
import { ProtoError, suggestName, withOuterPath } from "./proto-error.ts";
import { describeValue } from "./scalar-writers.ts";
import { findField, findFieldByJsonName, findMessage, nameOf } from "./schema.ts";
import { hasSpecialJson } from "./to-json.ts";
import { parseDuration, parseTimestamp } from "./well-known-json.ts";

type JsonObject = Readonly<Record<string, unknown>>;

/**
 * Reads canonical proto3 JSON, with snake_case or lowerCamelCase names, into a wire object that `encode` takes. Each
 * Any must carry "@type" and is packed. Throws `ProtoError` naming the path and, for an unknown name, the nearest one.
 */
export function fromJson<K extends TypeName>(typeName: K, json: unknown): TypeMap[K] {
  return fromJsonDynamic(typeName, json) as TypeMap[K];
}

/** `fromJson` for a type known only at run time. */
export function fromJsonDynamic(typeName: string, json: unknown): Readonly<Record<string, unknown>> {
  try {
    return parseMessage(typeName, json);
  } catch (cause) {
    throw withOuterPath(typeName, cause);
  }
}

const WELL_KNOWN: ReadonlyMap<string, (json: unknown) => object> = new Map<string, (json: unknown) => object>([
  ["google.protobuf.Any", parseAny],
  ["google.protobuf.Duration", parseDuration],
  ["google.protobuf.Timestamp", parseTimestamp],
  ["google.protobuf.Struct", (json) => struct(expectObject(json) as { readonly [key: string]: Json })],
  ["google.protobuf.Value", (json) => toValue(json as Json)],
  ["google.protobuf.ListValue", (json) => toValue(expectArray(json) as readonly Json[]).list_value ?? {}],
]);

function parseMessage(typeName: string, json: unknown): Readonly<Record<string, unknown>> {
  const wellKnown = WELL_KNOWN.get(typeName);
  if (wellKnown) return wellKnown(json) as Readonly<Record<string, unknown>>;
  const type = findMessage(typeName);
  return hasSpecialJson(typeName) ? parseWrapper(type, json) : parseFields(type, expectObject(json));
}

function parseWrapper(type: protobuf.Type, json: unknown): Readonly<Record<string, unknown>> {
  const field = findField(type, "value");
  if (!field) throw new ProtoError("", `${nameOf(type)} has no value`);
  const parsed = parseValue(field, json);
  return isDefaultValue(field, parsed) ? {} : { value: parsed };
}

function parseFields(type: protobuf.Type, json: JsonObject): Readonly<Record<string, unknown>> {
  const message: Record<string, unknown> = {};
  const setOneofs = new Map<string, string>();
  for (const [name, member] of Object.entries(json)) {
    const field = findFieldByJsonName(type, name);
    if (!field) {
      const hint = suggestName(name, Object.keys(type.fields));
      throw new ProtoError(name, `no such field in ${nameOf(type)}${hint}`);
    }
    if (member === undefined || (member === null && !acceptsNull(field))) continue;
    if (Object.hasOwn(message, field.name)) throw new ProtoError(name, "set twice");
    const oneof = oneofOf(field);
    if (oneof !== undefined) checkOneof(setOneofs, oneof, field.name);
    try {
      message[field.name] = parseField(field, member);
    } catch (cause) {
      throw withOuterPath(name, cause);
    }
  }
  return message;
}

function checkOneof(setOneofs: Map<string, string>, oneof: string, name: string): void {
  const other = setOneofs.get(oneof);
  if (other !== undefined) throw new ProtoError(name, `set together with ${other}, of which one is allowed`);
  setOneofs.set(oneof, name);
}

/** JSON null means unset, save where null is a value. */
function acceptsNull(field: protobuf.Field): boolean {
  if (!field.resolvedType) return false;
  const typeName = nameOf(field.resolvedType);
  return typeName === "google.protobuf.NullValue" || (typeName === "google.protobuf.Value" && !field.repeated);
}

function parseField(field: protobuf.Field, json: unknown): unknown {
  if (keyTypeOf(field) !== undefined) {
    return Object.fromEntries(
      Object.entries(expectObject(json)).map(([key, member]) => [
        key,
        parseAt(`[${JSON.stringify(key)}]`, () => parseValue(field, member)),
      ]),
    );
  }
  if (!field.repeated) return parseValue(field, json);
  return expectArray(json).map((element, index) => parseAt(`[${index}]`, () => parseValue(field, element)));
}

function parseAt<T>(step: string, parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    throw withOuterPath(step, cause);
  }
}

function parseValue(field: protobuf.Field, json: unknown): unknown {
  const messageType = messageOf(field);
  if (messageType) return parseMessage(nameOf(messageType), json);
  const enumType = enumOf(field);
  return enumType ? parseEnum(enumType, json) : parseScalar(field.type, json);
}

function parseEnum(type: protobuf.Enum, json: unknown): string | number {
  if (json === null) return "NULL_VALUE";
  if (typeof json === "string" && enumNumber(type, json) !== undefined) return json;
  if (typeof json === "number" && Number.isInteger(json)) return type.valuesById[json] ?? json;
  const hint = suggestName(String(json), Object.keys(type.values));
  throw new ProtoError("", `${describeValue(json)} is no value of ${nameOf(type)}${hint}`);
}

function parseScalar(scalar: string, json: unknown): unknown {
  switch (scalar) {
    case "string":
      if (typeof json !== "string") throw new ProtoError("", `expected a string, got ${describeValue(json)}`);
      return json;
    case "bool":
      if (typeof json !== "boolean") throw new ProtoError("", `expected a boolean, got ${describeValue(json)}`);
      return json;
    case "bytes":
      return parseBytes(json);
    case "double":
    case "float":
      return parseNumber(json);
    default:
      return isLong(scalar) ? parseLong(json) : parseInteger(scalar, json);
  }
}

function parseBytes(json: unknown): Uint8Array {
  // Both alphabets are allowed on input; Node's decoder takes either.
  if (typeof json !== "string" || !/^[A-Za-z0-9+/_-]*={0,2}$/.test(json)) {
    throw new ProtoError("", `expected base64, got ${describeValue(json)}`);
  }
  return new Uint8Array(Buffer.from(json, "base64"));
}

function parseNumber(json: unknown): number {
  const number = typeof json === "string" && json.trim() !== "" ? Number(json) : json;
  if (typeof number === "number" && (!Number.isNaN(number) || json === "NaN")) return number;
  throw new ProtoError("", `expected a number, got ${describeValue(json)}`);
}

function parseInteger(scalar: string, json: unknown): number {
  const number = parseNumber(json);
  const isUnsigned = scalar === "uint32" || scalar === "fixed32";
  const [min, max] = isUnsigned ? [0, 0xffffffff] : [-0x80000000, 0x7fffffff];
  if (Number.isInteger(number) && number >= min && number <= max) return number;
  throw new ProtoError("", `expected an integer from ${min} to ${max}, got ${describeValue(json)}`);
}

function parseLong(json: unknown): number | string {
  if (typeof json === "number" && Number.isSafeInteger(json)) return json;
  if (typeof json === "string" && /^-?\d+$/.test(json)) {
    const number = Number(json);
    return Number.isSafeInteger(number) ? number : json;
  }
  throw new ProtoError("", `expected a 64-bit integer, got ${describeValue(json)}`);
}

function parseAny(json: unknown): object {
  const { "@type": url, ...rest } = expectObject(json);
  if (url === undefined && Object.keys(rest).length === 0) return {};
  if (typeof url !== "string") throw new ProtoError("", 'an Any needs its type in "@type"');
  const typeName = typeNameOf(url);
  const bytes = isTypeName(typeName) ? encodeAnyContent(typeName, rest) : parseOpaqueAny(typeName, rest);
  return { type_url: url, ...(bytes.length === 0 ? {} : { value: bytes }) };
}

function encodeAnyContent(typeName: TypeName, json: JsonObject): Uint8Array {
  return parseAt(`(${typeName})`, () =>
    encodeDynamic(typeName, parseMessage(typeName, hasSpecialJson(typeName) ? json["value"] : json)),
  );
}

/** The form in which `toJson` shows an Any that nobody here can read. */
function parseOpaqueAny(typeName: string, json: JsonObject): Uint8Array {
  const { value, ...others } = json;
  if (Object.keys(others).length > 0) {
    throw new ProtoError("@type", `unknown message type ${typeName}`);
  }
  return value === undefined ? new Uint8Array() : parseBytes(value);
}

function expectObject(json: unknown): JsonObject {
  if (typeof json === "object" && json !== null && !Array.isArray(json)) return json as JsonObject;
  throw new ProtoError("", `expected an object, got ${describeValue(json)}`);
}

function expectArray(json: unknown): readonly unknown[] {
  if (Array.isArray(json)) return json;
  throw new ProtoError("", `expected an array, got ${describeValue(json)}`);
}
