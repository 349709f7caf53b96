import protobuf from "protobufjs/light.js";
import { enumOf, keyTypeOf, messageOf, oneofOf } from "./field-traits.ts";
import { ProtoError, suggestName } from "./proto-error.ts";
import { describeValue, writeEnum, writeScalar } from "./scalar-writers.ts";
import { findField, findMessage, nameOf } from "./schema.ts";

/** Takes what the checks write; nothing ever reads it. */
const scratch = protobuf.Writer.create();

/**
 * Lists everything wrong with a wire object, each with its path, or nothing: unknown members, unknown enum values,
 * values of the wrong type or range, and two members of one oneof. `encode` stops at the first of these and lets two
 * members of a oneof pass, the later of which a reader would take; tests and debug mode want to see them all.
 */
export function findUnknownKeys(typeName: string, message: unknown): readonly string[] {
  const problems: string[] = [];
  verifyMessage({ path: typeName, problems }, findMessage(typeName), message);
  return problems;
}

interface Place {
  readonly path: string;
  readonly problems: string[];
}

function verifyMessage(place: Place, type: protobuf.Type, message: unknown): void {
  const fields = expectObject(place, message);
  if (!fields) return;
  const setOneofs = new Map<string, string>();
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined || value === null) continue;
    const inner = within(place, `.${name}`);
    const field = findField(type, name);
    if (!field) {
      report(inner, `no such field in ${nameOf(type)}${suggestName(name, Object.keys(type.fields))}`);
      continue;
    }
    const oneof = oneofOf(field);
    if (oneof !== undefined) verifyOneof(inner, setOneofs, oneof);
    verifyField(inner, field, value);
  }
}

function verifyOneof(place: Place, setOneofs: Map<string, string>, oneof: string): void {
  const other = setOneofs.get(oneof);
  if (other !== undefined) report(place, `set together with ${other}, of which oneof ${oneof} allows one`);
  setOneofs.set(oneof, place.path);
}

function verifyField(place: Place, field: protobuf.Field, value: unknown): void {
  if (keyTypeOf(field) !== undefined) {
    for (const [key, member] of Object.entries(expectObject(place, value) ?? {})) {
      if (member !== undefined) verifyValue(within(place, `[${JSON.stringify(key)}]`), field, member);
    }
  } else if (!field.repeated) {
    verifyValue(place, field, value);
  } else if (Array.isArray(value)) {
    for (const [index, element] of value.entries()) verifyValue(within(place, `[${index}]`), field, element);
  } else {
    report(place, `expected an array, got ${describeValue(value)}`);
  }
}

function verifyValue(place: Place, field: protobuf.Field, value: unknown): void {
  const messageType = messageOf(field);
  if (messageType) {
    verifyMessage(place, messageType, value);
    return;
  }
  const enumType = enumOf(field);
  scratch.reset();
  try {
    if (enumType) writeEnum(scratch, enumType, value);
    else writeScalar(field.type)(scratch, value);
  } catch (cause) {
    if (!(cause instanceof ProtoError)) throw cause;
    report(place, cause.reason);
  }
}

function expectObject(place: Place, value: unknown): object | undefined {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  report(place, `expected an object, got ${describeValue(value)}`);
  return undefined;
}

function within(place: Place, step: string): Place {
  return { path: place.path + step, problems: place.problems };
}

function report(place: Place, problem: string): void {
  place.problems.push(`${place.path}: ${problem}`);
}
