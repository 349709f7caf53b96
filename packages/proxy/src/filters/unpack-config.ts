/** Configuration of extensions as it comes: an Any, or an Any that holds a TypedStruct of what it is. */
import { fromJsonDynamic, ProtoError, structToJson, typeNameOf, unpackAny } from "@meltemi/protos";
import type { Any, Struct } from "@meltemi/protos/google/protobuf";
import { ConfigError } from "../lib/config-error.ts";

export interface UnpackedConfig {
  readonly typeName: string;
  readonly message: Readonly<Record<string, unknown>>;
}

const typedStructs = new Set(["udpa.type.v1.TypedStruct", "xds.type.v3.TypedStruct"]);

/** The message of an extension's configuration with its type. Throws ConfigError for a type that is not known. */
export function unpackConfig(any: Any): UnpackedConfig {
  try {
    const { typeName, message } = unpackAny(any);
    return typedStructs.has(typeName) ? unpackTypedStruct(message) : { typeName, message };
  } catch (cause: unknown) {
    if (!(cause instanceof ProtoError)) throw cause;
    throw new ConfigError("typed_config", cause.message);
  }
}

/** The name of the message that an Any holds, without reading it; "" where it names none. */
export function typeNameOfConfig(any: Any): string {
  const typeName = typeNameOf(any.type_url ?? "");
  if (!typedStructs.has(typeName)) return typeName;
  const inner = unpackAny(any).message["type_url"];
  return typeof inner === "string" ? typeNameOf(inner) : "";
}

function unpackTypedStruct(message: { readonly type_url?: string; readonly value?: Struct }): UnpackedConfig {
  const typeName = typeNameOf(message.type_url ?? "");
  return { typeName, message: fromJsonDynamic(typeName, structToJson(message.value ?? {})) };
}
