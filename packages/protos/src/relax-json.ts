import type protobuf from "protobufjs/light.js";
import { typeNameOf } from "./any.ts";
import { keyTypeOf, messageOf, oneofOf } from "./field-traits.ts";
import { findFieldByJsonName, findMessage, isKnownType, nameOf } from "./schema.ts";
import { hasSpecialJson } from "./to-json.ts";

type JsonObject = Readonly<Record<string, unknown>>;

const NANOS_PER_UNIT: { readonly [unit: string]: number } = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  μs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};
const NANOS_PER_SECOND = 1_000_000_000;
/** A message as JSON, with its type: Envoy takes it wherever it takes an extension's configuration. */
const TYPED_STRUCT = "type.googleapis.com/xds.type.v3.TypedStruct";

/**
 * Rewrites a JSON document that `findJsonFaults` finds nothing invalid in, so that `fromJson` takes it: unknown fields
 * are left out, of a oneof (and of the two spellings of a field) the last one stays, durations in Go's notation ("1m30s",
 * "100ms") become seconds, and an Any of a type that is not known here becomes a TypedStruct, for Envoy to read. What is
 * wrong otherwise stays as it is.
 */
export function relaxJson(typeName: string, json: unknown): unknown {
  return relaxMessage(findMessage(typeName), json);
}

function relaxMessage(type: protobuf.Type, json: unknown): unknown {
  const typeName = nameOf(type);
  if (typeName === "google.protobuf.Duration") return typeof json === "string" ? relaxDuration(json) : json;
  if (!isObject(json)) return json;
  if (typeName === "google.protobuf.Any") return relaxAny(json);
  return hasSpecialJson(typeName) ? json : relaxFields(type, json);
}

function relaxAny(json: JsonObject): unknown {
  const { "@type": url, ...rest } = json;
  const typeName = typeof url === "string" ? typeNameOf(url) : "";
  if (!isKnownType(typeName)) {
    return Object.keys(rest).length === 0 ? json : { "@type": TYPED_STRUCT, type_url: url, value: rest };
  }
  const type = findMessage(typeName);
  if (!hasSpecialJson(typeName)) return { "@type": url, ...relaxFields(type, rest) };
  return { "@type": url, value: relaxMessage(type, rest["value"]) };
}

function relaxFields(type: protobuf.Type, json: JsonObject): JsonObject {
  const relaxed: Record<string, unknown> = {};
  const members = new Map<string, string>();
  for (const [name, member] of Object.entries(json)) {
    const field = findFieldByJsonName(type, name);
    if (field === undefined || member === undefined || (member === null && !holdsNull(field))) continue;
    const oneof = oneofOf(field);
    const other = oneof === undefined ? undefined : members.get(oneof);
    if (other !== undefined) delete relaxed[other];
    if (oneof !== undefined) members.set(oneof, field.name);
    relaxed[field.name] = relaxField(field, member);
  }
  return relaxed;
}

function holdsNull(field: protobuf.Field): boolean {
  const type = messageOf(field);
  return type !== undefined && nameOf(type) === "google.protobuf.Value" && !field.repeated;
}

function relaxField(field: protobuf.Field, json: unknown): unknown {
  if (keyTypeOf(field) !== undefined) {
    if (!isObject(json)) return json;
    return Object.fromEntries(Object.entries(json).map(([key, member]) => [key, relaxValue(field, member)]));
  }
  return field.repeated && Array.isArray(json)
    ? json.map((element) => relaxValue(field, element))
    : relaxValue(field, json);
}

function relaxValue(field: protobuf.Field, json: unknown): unknown {
  const type = messageOf(field);
  if (type !== undefined) return relaxMessage(type, json);
  return field.type === "bytes" && typeof json === "string" ? json.replaceAll(/[\r\n]/g, "") : json;
}

/** "1m30.5s" as "90.5s"; any other text as it is. */
function relaxDuration(text: string): string {
  if (!/^[-+]?(((\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h))+|0)$/.test(text)) return text;
  let nanos = 0n;
  for (const [, amount = "0", unit = "s"] of text.matchAll(/(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/g)) {
    const [whole = "", fraction = ""] = amount.split(".");
    const size = BigInt(NANOS_PER_UNIT[unit] ?? 0);
    nanos += BigInt(whole || "0") * size + (BigInt(fraction || "0") * size) / 10n ** BigInt(fraction.length);
  }
  const seconds = nanos / BigInt(NANOS_PER_SECOND);
  const rest = String(nanos % BigInt(NANOS_PER_SECOND)).padStart(9, "0");
  return `${text.startsWith("-") ? "-" : ""}${seconds}.${rest}s`;
}

function isObject(json: unknown): json is JsonObject {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}
