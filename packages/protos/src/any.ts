import type { Any } from "../gen/types/google/protobuf.ts";
import type { TypeMap } from "../gen/types/type-map.ts";
import { decode, decodeDynamic } from "./decode.ts";
import { encode, type TypeName } from "./encode.ts";
import { ProtoError } from "./proto-error.ts";
import { isKnownType } from "./schema.ts";

const PREFIX = "type.googleapis.com/";

/** The type URL of a message: "type.googleapis.com/envoy.config.cluster.v3.Cluster". */
export function typeUrl<K extends TypeName>(typeName: K): `type.googleapis.com/${K}` {
  return `${PREFIX}${typeName}`;
}

/** The message name in a type URL: what follows the last slash. */
export function typeNameOf(url: string): string {
  return url.slice(url.lastIndexOf("/") + 1);
}

/** True for the full name of a message known here. */
export function isTypeName(name: string): name is TypeName {
  return isKnownType(name);
}

/** Wraps a message as an Any. Throws like `encode`. */
export function packAny<K extends TypeName>(typeName: K, message: TypeMap[K]): Any {
  return { type_url: typeUrl(typeName), value: encode(typeName, message) };
}

/** Unwraps an Any whose type is not known beforehand. Throws `ProtoError` for an unknown type or malformed bytes. */
export function unpackAny(any: Any): {
  readonly typeName: TypeName;
  readonly message: Readonly<Record<string, unknown>>;
} {
  const typeName = typeNameOf(any.type_url ?? "");
  if (!isTypeName(typeName)) throw new ProtoError(typeName, "unknown message type");
  return { typeName, message: decodeDynamic(typeName, any.value ?? new Uint8Array()) };
}

/** Unwraps an Any as the type expected, or gives undefined when it holds another. Throws on malformed bytes. */
export function unpackAs<K extends TypeName>(typeName: K, any: Any): TypeMap[K] | undefined {
  if (typeNameOf(any.type_url ?? "") !== typeName) return undefined;
  return decode(typeName, any.value ?? new Uint8Array());
}
