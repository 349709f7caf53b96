import protobuf from "protobufjs/light.js";
import { resolveMessage } from "./schema.ts";

/**
 * What protobufjs's reflection leaves to its users to work out about a field. A map's field stands for its values.
 */

/** Wire type of varints. */
const WIRE_VARINT = 0;
/** Wire type of strings, bytes, messages, maps and packed lists. */
export const WIRE_DELIMITED = 2;

const SENSITIVE_OPTION = "(udpa.annotations.sensitive)";

/** Type of a message field, ready for use; undefined for any other. */
export function messageOf(field: protobuf.Field): protobuf.Type | undefined {
  return field.resolvedType instanceof protobuf.Type ? resolveMessage(field.resolvedType) : undefined;
}

/** Type of an enum field; undefined for any other. */
export function enumOf(field: protobuf.Field): protobuf.Enum | undefined {
  return field.resolvedType instanceof protobuf.Enum ? field.resolvedType : undefined;
}

/** Scalar type of a map's keys; undefined for anything but a map. */
export function keyTypeOf(field: protobuf.Field): string | undefined {
  return field instanceof protobuf.MapField ? field.keyType : undefined;
}

/** Name of the oneof that holds a field; none for proto3 `optional`, which is written as a oneof of its own. */
export function oneofOf(field: protobuf.Field): string | undefined {
  return field.partOf && !field.partOf.isProto3Optional ? field.partOf.name : undefined;
}

/** False for a singular scalar or enum whose default value means unset. */
export function hasPresence(field: protobuf.Field): boolean {
  return field.resolvedType instanceof protobuf.Type || Boolean(field.hasPresence);
}

/** True for numbers that share one length-delimited part; the parser calls every repeated proto3 field packed. */
export function isPacked(field: protobuf.Field): boolean {
  return field.packed && wireTypeOf(field) !== WIRE_DELIMITED;
}

/** Carries a credential: shown redacted. */
export function isSensitive(field: protobuf.Field): boolean {
  return field.options?.[SENSITIVE_OPTION] === true;
}

/** Wire type of one value of a field. */
export function wireTypeOf(field: protobuf.Field): number {
  if (field.resolvedType) return field.resolvedType instanceof protobuf.Enum ? WIRE_VARINT : WIRE_DELIMITED;
  return scalarWireType(field.type);
}

/** Wire type of a scalar. */
export function scalarWireType(scalar: string): number {
  return protobuf.types.basic[scalar as keyof typeof protobuf.types.basic];
}

/** True for the 64-bit integers. */
export function isLong(scalar: string): boolean {
  return Object.hasOwn(protobuf.types.long, scalar);
}

/** Number of an enum value; undefined for a name the enum does not have. */
export function enumNumber(type: protobuf.Enum, name: unknown): number | undefined {
  return typeof name === "string" && Object.hasOwn(type.values, name) ? type.values[name] : undefined;
}

/** The default value of a field without presence, which never goes on the wire. */
export function isDefaultValue(field: protobuf.Field, value: unknown): boolean {
  const enumType = enumOf(field);
  if (enumType) return value === 0 || enumNumber(enumType, value) === 0;
  if (value instanceof Uint8Array) return value.length === 0;
  return Object.is(value, 0) || value === "" || value === false || (value === "0" && isLong(field.type));
}

/** The value that an absent scalar stands for. */
export function scalarDefault(scalar: string): unknown {
  // protobufjs has an array for bytes and, where 64-bit integers are objects, plain zero.
  return scalar === "bytes"
    ? new Uint8Array()
    : protobuf.types.defaults[scalar as keyof typeof protobuf.types.defaults];
}
