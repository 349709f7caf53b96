import type protobuf from "protobufjs/light.js";
import { typeNameOf } from "./any.ts";
import { enumNumber, enumOf, isLong, keyTypeOf, messageOf } from "./field-traits.ts";
import { suggestName } from "./proto-error.ts";
import { describeValue } from "./scalar-writers.ts";
import { findFieldByJsonName, findMessage, isKnownType, nameOf } from "./schema.ts";

/** Something in a JSON document that does not fit the message it stands for. */
export interface JsonFault {
  /** Steps from the message's root: names of fields, as they were written, and indexes of lists. */
  readonly path: readonly (string | number)[];
  /**
   * "invalid": no reader takes it. "unknown-field": readers that must take newer messages skip it. "unknown-type": the
   * type of an Any that is not described here; `typeName` says which, and what is in it was not looked at.
   */
  readonly kind: "invalid" | "unknown-field" | "unknown-type";
  readonly reason: string;
  readonly typeName?: string;
}

type Path = JsonFault["path"];
/** What is wrong, and what kind of fault that is where it is not "invalid". */
type Report = (path: Path, reason: string, rest?: Partial<Pick<JsonFault, "kind" | "typeName">>) => void;

interface Place {
  readonly path: Path;
  readonly report: Report;
}

interface TextForm {
  readonly pattern: RegExp;
  readonly expected: string;
}

const INTEGER = /^-?(0|[1-9]\d*)$/;
const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;
const NOT_FINITE: readonly string[] = ["NaN", "Infinity", "-Infinity"];
const DURATION: TextForm = {
  pattern: /^[-+]?(((\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h))+|0)$/,
  expected: 'a duration such as "1.5s"',
};
const TIMESTAMP: TextForm = {
  pattern: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/,
  expected: "an RFC 3339 time",
};
const BASE64 = /^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
const WRAPPER = /^google\.protobuf\.(Bool|Bytes|String|Int32|UInt32|Float|Int64|UInt64|Double)Value$/;
/** Types whose Any holds them in "value"; others stand beside "@type". */
const SPECIAL =
  /^google\.protobuf\.(Empty|Any|Duration|Timestamp|Struct|Value|ListValue|(Bool|Bytes|String|Int32|UInt32|Float|Int64|UInt64|Double)Value)$/;

const BOUNDS: ReadonlyMap<string, readonly [bigint, bigint]> = new Map([
  ["32", [-(2n ** 31n), 2n ** 31n - 1n]],
  ["u32", [0n, 2n ** 32n - 1n]],
  ["64", [-(2n ** 63n), 2n ** 63n - 1n]],
  ["u64", [0n, 2n ** 64n - 1n]],
]);

/**
 * All that keeps a JSON document from being read as a message, by the rules that Istio reads the patches of EnvoyFilters
 * by (golang/protobuf's jsonpb): names in snake_case or lowerCamelCase, null for absent, numbers also as text, durations
 * in Go's notation, of a oneof the last one. An Any must name its type. Empty where there is nothing to say.
 * Throws `ProtoError` for a `typeName` that is not known.
 */
export function findJsonFaults(typeName: string, json: unknown): readonly JsonFault[] {
  const faults: JsonFault[] = [];
  const report: Report = (path, reason, rest) => void faults.push({ path, kind: "invalid", reason, ...rest });
  checkMessage(findMessage(typeName), json, { path: [], report });
  return faults;
}

const below = (at: Place, step: string | number): Place => ({ ...at, path: [...at.path, step] });

function checkMessage(type: protobuf.Type, json: unknown, at: Place): void {
  const typeName = nameOf(type);
  if (json === null) return;
  const wrapped = WRAPPER.test(typeName) ? type.fields["value"] : undefined;
  if (wrapped !== undefined) {
    checkScalar(wrapped.type, json, at);
    return;
  }
  switch (typeName) {
    case "google.protobuf.Any":
      checkAny(json, at);
      return;
    case "google.protobuf.Duration":
      checkText(json, DURATION, at);
      return;
    case "google.protobuf.Timestamp":
      checkText(json, TIMESTAMP, at);
      return;
    case "google.protobuf.Value":
      return;
    case "google.protobuf.ListValue":
      if (!Array.isArray(json)) at.report(at.path, `must be a list, not ${describeValue(json)}`);
      return;
    case "google.protobuf.Struct":
      if (!isObject(json)) at.report(at.path, `must be an object, not ${describeValue(json)}`);
      return;
    default:
      checkFields(type, json, at);
  }
}

function checkFields(type: protobuf.Type, json: unknown, at: Place): void {
  if (!isObject(json)) {
    at.report(at.path, `must be an object, not ${describeValue(json)}`);
    return;
  }
  for (const [name, member] of Object.entries(json)) {
    const field = findFieldByJsonName(type, name);
    if (field === undefined) {
      at.report([...at.path, name], `no such field in ${nameOf(type)}${suggestName(name, Object.keys(type.fields))}`, {
        kind: "unknown-field",
      });
    } else if (member !== null) checkField(field, member, below(at, name));
  }
}

function checkField(field: protobuf.Field, json: unknown, at: Place): void {
  const keyType = keyTypeOf(field);
  if (keyType !== undefined) {
    if (!isObject(json)) {
      at.report(at.path, `must be an object, not ${describeValue(json)}`);
      return;
    }
    for (const [key, member] of Object.entries(json)) {
      if (keyType !== "string") checkScalar(keyType, key, below(at, key));
      checkValue(field, member, below(at, key));
    }
  } else if (field.repeated) {
    if (!Array.isArray(json)) {
      at.report(at.path, `must be a list, not ${describeValue(json)}`);
      return;
    }
    for (const [index, element] of json.entries()) checkValue(field, element, below(at, index));
  } else checkValue(field, json, at);
}

function checkValue(field: protobuf.Field, json: unknown, at: Place): void {
  const messageType = messageOf(field);
  if (messageType !== undefined) {
    checkMessage(messageType, json, at);
    return;
  }
  const enumType = enumOf(field);
  if (enumType === undefined) {
    checkScalar(field.type, json, at);
    return;
  }
  const isNumber = typeof json === "number" && isInteger("32", json);
  if (json === null || isNumber || (typeof json === "string" && enumNumber(enumType, json) !== undefined)) return;
  const hint = suggestName(String(json), Object.keys(enumType.values));
  at.report(at.path, `${describeValue(json)} is no value of ${nameOf(enumType)}${hint}`);
}

function checkScalar(scalar: string, json: unknown, at: Place): void {
  if (json === null || fitsScalar(scalar, json)) return;
  at.report(at.path, `must be of type ${scalar}, not ${describeValue(json)}`);
}

function fitsScalar(scalar: string, json: unknown): boolean {
  switch (scalar) {
    case "string":
      return typeof json === "string";
    case "bool":
      return typeof json === "boolean";
    case "bytes":
      return typeof json === "string" && BASE64.test(json.replaceAll(/[\r\n]/g, ""));
    case "double":
    case "float":
      if (typeof json === "string") return NUMBER.test(json.trim()) || NOT_FINITE.includes(json) || json === "null";
      return typeof json === "number";
    default: {
      const isUnsigned = scalar.startsWith("u") || scalar.startsWith("fixed");
      return isInteger(`${isUnsigned ? "u" : ""}${isLong(scalar) ? "64" : "32"}`, json);
    }
  }
}

function isInteger(size: string, json: unknown): boolean {
  const text = typeof json === "string" ? json.trim() : JSON.stringify(json);
  if (typeof json === "string" && text === "null") return true;
  if ((typeof json !== "string" && typeof json !== "number") || !INTEGER.test(text)) return false;
  const [min, max] = BOUNDS.get(size) ?? [0n, 0n];
  return BigInt(text) >= min && BigInt(text) <= max;
}

function checkText(json: unknown, { pattern, expected }: TextForm, at: Place): void {
  if (typeof json !== "string" || !pattern.test(json))
    at.report(at.path, `must be ${expected}, not ${describeValue(json)}`);
}

function checkAny(json: unknown, at: Place): void {
  if (!isObject(json)) {
    at.report(at.path, `must be an object, not ${describeValue(json)}`);
    return;
  }
  const { "@type": url, ...rest } = json;
  if (typeof url !== "string") {
    at.report([...at.path, "@type"], "is required: the type of what stands here");
    return;
  }
  const typeName = typeNameOf(url);
  if (!isKnownType(typeName)) {
    at.report([...at.path, "@type"], `unknown message type ${typeName}`, { kind: "unknown-type", typeName });
    return;
  }
  const type = findMessage(typeName);
  if (!SPECIAL.test(typeName)) {
    checkFields(type, rest, at);
    return;
  }
  if (!Object.hasOwn(rest, "value")) {
    at.report([...at.path, "value"], `is required for ${typeName}`);
    return;
  }
  checkMessage(type, rest["value"], below(at, "value"));
}

function isObject(json: unknown): json is Readonly<Record<string, unknown>> {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}
