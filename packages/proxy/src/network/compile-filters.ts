import { fromJsonDynamic, isTypeName, ProtoError, structToJson, typeNameOf, unpackAny } from "@meltemi/protos";
import type { Filter } from "@meltemi/protos/envoy/config/listener/v3";
import type { Any, Struct } from "@meltemi/protos/google/protobuf";
import type { NetworkFilterEnv } from "../config/env.ts";
import { ConfigError, within } from "../lib/config-error.ts";
import { findNetworkFilter, findNetworkFilterByName } from "./registry.ts";
import type { NetworkFilter } from "./types.ts";

/** Compiles the filters of a chain, in order. Throws ConfigError, and leaves nothing behind. */
export function compileNetworkFilters(
  wires: readonly Filter[] | undefined,
  env: NetworkFilterEnv,
): readonly NetworkFilter[] {
  const filters: NetworkFilter[] = [];
  try {
    for (const [index, wire] of (wires ?? []).entries()) {
      filters.push(within(`filters[${index}]`, () => compileNetworkFilter(wire, env)));
    }
    refuseWrongOrder(wires ?? [], filters);
  } catch (cause: unknown) {
    for (const filter of filters) filter.close?.();
    throw cause;
  }
  return filters;
}

function refuseWrongOrder(wires: readonly Filter[], filters: readonly NetworkFilter[]): void {
  for (const [index, filter] of filters.entries()) {
    const isLast = index === filters.length - 1;
    if (isLast === (filter.serve !== undefined)) continue;
    const name = wires[index]?.name ?? "";
    throw new ConfigError(
      `filters[${index}]`,
      isLast
        ? `non-terminal filter named ${name} is the last filter in a network filter chain`
        : `terminal filter named ${name} must be the last filter in a network filter chain`,
    );
  }
}

function compileNetworkFilter(wire: Filter, env: NetworkFilterEnv): NetworkFilter {
  if (wire.config_discovery !== undefined) {
    throw new ConfigError("config_discovery", "network filters whose configuration comes by itself are not supported");
  }
  const { name = "", typed_config: any } = wire;
  if (any === undefined) {
    const factory = findNetworkFilterByName(name);
    if (factory === undefined) throw new ConfigError("name", `the network filter ${name} is not supported`);
    return factory.compile({}, env);
  }
  const { typeName, message } = within("typed_config", () => unpackConfig(any));
  const factory = findNetworkFilter(typeName);
  if (factory === undefined) {
    throw new ConfigError("typed_config", `the network filter ${name} (${typeName}) is not supported`);
  }
  return within("typed_config", () => factory.compile(message, env));
}

interface UnpackedConfig {
  readonly typeName: string;
  readonly message: Readonly<Record<string, unknown>>;
}

/** The message in an Any, or in the TypedStruct in it; JSON as it is where the struct is of a type that is not known. */
function unpackConfig(any: Any): UnpackedConfig {
  try {
    const { typeName, message } = unpackAny(any);
    if (typeName !== "udpa.type.v1.TypedStruct" && typeName !== "xds.type.v3.TypedStruct") return { typeName, message };
    const struct = message as { readonly type_url?: string; readonly value?: Struct };
    const inner = typeNameOf(struct.type_url ?? "");
    const json = structToJson(struct.value ?? {});
    return { typeName: inner, message: isTypeName(inner) ? fromJsonDynamic(inner, json) : json };
  } catch (cause: unknown) {
    if (cause instanceof ProtoError) throw new ConfigError("", cause.message);
    throw cause;
  }
}
