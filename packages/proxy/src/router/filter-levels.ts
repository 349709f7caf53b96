/** What routes, virtual hosts and route tables say for filters: typed_per_filter_config. */
import { unpackAs } from "@meltemi/protos";
import type { Any } from "@meltemi/protos/google/protobuf";
import { within } from "../lib/config-error.ts";
import type { Route, RouteEnv } from "./types.ts";

/** One level, by name of the filter. */
export type FilterLevel = ReadonlyMap<string, { readonly config: unknown; readonly isDisabled: boolean }>;

/** What a route tells of filters. */
export type FilterView = Pick<Route, "filterConfig" | "filterConfigs" | "isDisabled">;

const nothing: FilterView = { filterConfig: () => undefined, filterConfigs: () => [], isDisabled: () => false };

/** Throws ConfigError. */
export function compileFilterLevel(configs: { readonly [name: string]: Any } | undefined, env: RouteEnv): FilterLevel {
  return new Map(
    Object.entries(configs ?? {}).map(([name, config]) => [
      name,
      within(`typed_per_filter_config["${name}"]`, () => compileOne(name, config, env)),
    ]),
  );
}

/** `levels` in order, the closest first. */
export function viewFilters(levels: readonly FilterLevel[]): FilterView {
  const known = levels.filter((level) => level.size > 0);
  if (known.length === 0) return nothing;
  const filterConfigs = (name: string): readonly unknown[] =>
    known.map((level) => level.get(name)?.config).filter((config) => config !== undefined);
  return {
    filterConfigs,
    filterConfig(name) {
      for (const level of known) {
        const config = level.get(name)?.config;
        if (config !== undefined) return config;
      }
      return undefined;
    },
    isDisabled: (name) => known.find((level) => level.has(name))?.get(name)?.isDisabled ?? false,
  };
}

function compileOne(name: string, any: Any, env: RouteEnv): { readonly config: unknown; readonly isDisabled: boolean } {
  const wrapper = unpackAs("envoy.config.route.v3.FilterConfig", any);
  if (wrapper === undefined) return { config: env.compileFilterConfig(name, any, false), isDisabled: false };
  const { config, disabled = false, is_optional: isOptional = false } = wrapper;
  if (disabled || config === undefined) return { config: undefined, isDisabled: disabled };
  return { config: within("config", () => env.compileFilterConfig(name, config, isOptional)), isDisabled: false };
}
