import type protobuf from "protobufjs/light.js";
import type { Any, Duration, ListValue, Struct, Timestamp, Value } from "../gen/types/google/protobuf.ts";
import type { TypeMap } from "../gen/types/type-map.ts";
import { isTypeName, typeNameOf } from "./any.ts";
import { type Json, structToJson, valueToJson } from "./builders.ts";
import { decodeDynamic } from "./decode.ts";
import type { TypeName } from "./encode.ts";
import {
  enumOf,
  hasPresence,
  isDefaultValue,
  isLong,
  isSensitive,
  keyTypeOf,
  messageOf,
  scalarDefault,
  WIRE_DELIMITED,
  wireTypeOf,
} from "./field-traits.ts";
import { ProtoError, withOuterPath } from "./proto-error.ts";
import { findField, findMessage, nameOf } from "./schema.ts";
import { formatDuration, formatFloat, formatTimestamp } from "./well-known-json.ts";

export interface ToJsonOptions {
  /** Show the message inside an Any next to its "@type"; default true. Otherwise its bytes as base64. */
  readonly expandAny?: boolean;
  /** Hide credentials (`udpa.annotations.sensitive`) the way Envoy's config dump does; default false. */
  readonly redactSecrets?: boolean;
  /** snake_case names, as Envoy prints them; default true. Otherwise lowerCamelCase. */
  readonly preserveNames?: boolean;
  /** Full names of messages to treat like unknown ones inside an Any. */
  readonly opaqueTypes?: ReadonlySet<string>;
  /** How to show an Any of a type unknown or opaque; by default `{"@type": …, "value": base64}`. */
  readonly unknownAny?: (any: Any) => Json;
}

type JsonObject = Record<string, Json>;
type Fields = Readonly<Record<string, unknown>>;

interface Context extends ToJsonOptions {
  /** Set below a sensitive field: every text there is hidden. */
  readonly redacting: boolean;
}

const REDACTED = "[redacted]";
/** Bytes stay valid base64, so that readers of the dump can parse it. */
const REDACTED_BYTES = Buffer.from(REDACTED).toString("base64");

/**
 * Renders a wire object as canonical proto3 JSON (https://protobuf.dev/programming-guides/json/) with Envoy's names:
 * durations as "10s", wrappers as bare values, 64-bit integers as strings, a Struct as plain JSON, members with
 * default values left out. Throws `ProtoError` on members that the type does not have and on malformed Any bytes.
 */
export function toJson<K extends TypeName>(typeName: K, message: TypeMap[K], options: ToJsonOptions = {}): Json {
  return toJsonDynamic(typeName, message, options);
}

/** `toJson` for a type known only at run time. */
export function toJsonDynamic(typeName: string, message: unknown, options: ToJsonOptions = {}): Json {
  try {
    return renderMessage({ ...options, redacting: false }, typeName, message as Fields);
  } catch (cause) {
    throw withOuterPath(typeName, cause);
  }
}

type RenderWellKnown = (context: Context, message: Fields) => Json;

const WELL_KNOWN: ReadonlyMap<string, RenderWellKnown> = new Map<string, RenderWellKnown>([
  ["google.protobuf.Any", (context, message) => renderAny(context, message as Any)],
  ["google.protobuf.Duration", (_context, message) => formatDuration(message as Duration)],
  ["google.protobuf.Timestamp", (_context, message) => formatTimestamp(message as Timestamp)],
  ["google.protobuf.Struct", (_context, message) => structToJson(message as Struct)],
  ["google.protobuf.Value", (_context, message) => valueToJson(message as Value)],
  [
    "google.protobuf.ListValue",
    (_context, message) => ((message as ListValue).values ?? []).map((member) => valueToJson(member)),
  ],
  ...["Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes"].map(
    (scalar): [string, RenderWellKnown] => {
      const name = `google.protobuf.${scalar}Value`;
      return [name, (context, message) => renderWrapper(context, name, message)];
    },
  ),
]);

/** True for the messages whose JSON form is not an object of their fields. */
export function hasSpecialJson(typeName: string): boolean {
  return WELL_KNOWN.has(typeName);
}

function renderMessage(context: Context, typeName: string, message: Fields): Json {
  const wellKnown = WELL_KNOWN.get(typeName);
  return wellKnown ? wellKnown(context, message) : renderFields(context, findMessage(typeName), message);
}

function renderFields(context: Context, type: protobuf.Type, message: Fields): JsonObject {
  const result: JsonObject = {};
  for (const [name, value] of Object.entries(message)) {
    if (value === undefined || value === null) continue;
    const field = findField(type, name);
    if (!field) throw new ProtoError(name, `no such field in ${nameOf(type)}`);
    try {
      const rendered = renderField(context, field, value);
      if (rendered !== undefined) result[context.preserveNames === false ? (field.jsonName ?? name) : name] = rendered;
    } catch (cause) {
      throw withOuterPath(name, cause);
    }
  }
  return result;
}

/** Undefined when the member is to be left out. */
function renderField(outer: Context, field: protobuf.Field, value: unknown): Json | undefined {
  const context = outer.redactSecrets && isSensitive(field) ? { ...outer, redacting: true } : outer;
  if (keyTypeOf(field) !== undefined) {
    const entries = Object.entries(value as Fields).filter(([, member]) => member !== undefined);
    if (entries.length === 0) return undefined;
    return Object.fromEntries(entries.map(([key, member]) => [key, renderValue(context, field, member)]));
  }
  if (field.repeated) {
    const elements = value as readonly unknown[];
    return elements.length === 0 ? undefined : elements.map((element) => renderValue(context, field, element));
  }
  if (!hasPresence(field) && isDefaultValue(field, value)) return undefined;
  // A redacted number says nothing, so it goes; a text stays as a sign that there is one.
  if (context.redacting && !isRedactable(field)) return undefined;
  return renderValue(context, field, value);
}

function isRedactable(field: protobuf.Field): boolean {
  return wireTypeOf(field) === WIRE_DELIMITED;
}

function renderValue(context: Context, field: protobuf.Field, value: unknown): Json {
  const messageType = messageOf(field);
  if (messageType) return renderMessage(context, nameOf(messageType), value as Fields);
  const enumType = enumOf(field);
  if (enumType) return renderEnum(enumType, value);
  switch (field.type) {
    case "bytes":
      return context.redacting ? REDACTED_BYTES : toBase64(value as Uint8Array);
    case "string":
      return context.redacting ? REDACTED : (value as string);
    case "double":
    case "float":
      return formatFloat(value as number);
    default:
      return isLong(field.type) ? String(value) : (value as Json);
  }
}

function renderEnum(type: protobuf.Enum, value: unknown): Json {
  if (nameOf(type) === "google.protobuf.NullValue") return null;
  return typeof value === "number" ? (type.valuesById[value] ?? value) : (value as string);
}

function renderWrapper(context: Context, typeName: string, message: Fields): Json {
  const field = findField(findMessage(typeName), "value");
  if (!field) throw new ProtoError("", `${typeName} has no value`);
  return renderValue(context, field, message["value"] ?? scalarDefault(field.type));
}

function renderAny(context: Context, any: Any): Json {
  const url = any.type_url ?? "";
  const typeName = typeNameOf(url);
  const bytes = any.value ?? new Uint8Array();
  if (url === "" && bytes.length === 0) return {};
  if (context.redacting) return { "@type": url, value: REDACTED_BYTES };
  if (!isTypeName(typeName) || context.opaqueTypes?.has(typeName)) {
    return context.unknownAny?.(any) ?? { "@type": url, value: toBase64(bytes) };
  }
  if (context.expandAny === false) return { "@type": url, value: toBase64(bytes) };
  try {
    const rendered = renderMessage(context, typeName, decodeDynamic(typeName, bytes));
    return WELL_KNOWN.has(typeName) ? { "@type": url, value: rendered } : { "@type": url, ...(rendered as JsonObject) };
  } catch (cause) {
    throw withOuterPath(`(${typeName})`, cause);
  }
}

function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}
