/** Filters that only note something for those behind them: metadata, filter state, tags of addresses. */
import { structToJson } from "@meltemi/protos";
import type { FilterStateValue } from "@meltemi/protos/envoy/extensions/filters/common/set_filter_state/v3";
import type { IPTagging } from "@meltemi/protos/envoy/extensions/filters/http/ip_tagging/v3";
import type { Config as SetFilterState } from "@meltemi/protos/envoy/extensions/filters/http/set_filter_state/v3";
import type { Config as SetMetadata } from "@meltemi/protos/envoy/extensions/filters/http/set_metadata/v3";
import { compileSubstitution } from "../formatter/compile-format.ts";
import type { Exchange, HttpFilterFactory } from "../http/exchange.ts";
import { ConfigError, compileAll, need } from "../lib/config-error.ts";
import { compileCidrs } from "../matchers/cidr.ts";
import { clientIp } from "./rate-limit-descriptors.ts";

type JsonObject = Readonly<Record<string, unknown>>;

export const setMetadataFactory: HttpFilterFactory<SetMetadata> = {
  name: "envoy.filters.http.set_metadata",
  type: "envoy.extensions.filters.http.set_metadata.v3.Config",
  compile(config, env) {
    const older = config.metadata_namespace
      ? [{ metadata_namespace: config.metadata_namespace, value: config.value, allow_overwrite: true }]
      : [];
    const entries = compileAll("metadata", [...(config.metadata ?? []), ...older], (wire) => {
      if ("typed_value" in wire && wire.typed_value) throw new ConfigError("typed_value", "is not supported");
      const { metadata_namespace: name = "", value = {}, allow_overwrite: overwrites = false } = wire;
      return { name, value: structToJson(value), overwrites };
    });
    const denied = env.httpStats.scope("set_metadata").counter("overwrite_denied");
    return {
      handle(exchange, next) {
        const { dynamicMetadata } = exchange.info;
        for (const { name, value, overwrites } of entries) {
          const known = dynamicMetadata.get(name);
          if (known && !overwrites) denied.inc();
          else dynamicMetadata.set(name, known ? mergeJson(known, value) : { ...value });
        }
        return next(exchange);
      },
    };
  },
};

/** Objects are merged, lists joined, anything else replaced. */
function mergeJson(into: JsonObject, from: JsonObject): Record<string, unknown> {
  const merged: Record<string, unknown> = { ...into };
  for (const [key, value] of Object.entries(from)) {
    const known = merged[key];
    if (isObject(known) && isObject(value)) merged[key] = mergeJson(known, value);
    else if (Array.isArray(known) && Array.isArray(value)) merged[key] = [...known, ...value];
    else merged[key] = value;
  }
  return merged;
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const setFilterStateType = "envoy.extensions.filters.http.set_filter_state.v3.Config";

export const setFilterStateFactory: HttpFilterFactory<SetFilterState, readonly SetState[]> = {
  name: "envoy.filters.http.set_filter_state",
  type: setFilterStateType,
  routeTypes: [setFilterStateType],
  compileRoute: (config) => compileStates(config as SetFilterState),
  compile(config) {
    const own = compileStates(config);
    return {
      handle(exchange, next) {
        const all = [...own, ...exchange.perRouteAll(setFilterStateFactory).toReversed().flat()];
        for (const set of all) set(exchange);
        return next(exchange);
      },
    };
  },
};

type SetState = (exchange: Exchange) => void;

function compileStates(wire: SetFilterState): readonly SetState[] {
  return compileAll("on_request_headers", wire.on_request_headers, compileState);
}

function compileState(wire: FilterStateValue): SetState {
  const key = need("object_key", wire.object_key || undefined);
  const format = compileSubstitution(need("format_string", wire.format_string));
  return ({ info, request }) => {
    const text = format({ info, request });
    if (text === "" && wire.skip_if_empty) return;
    info.filterState.set(key, { text, value: text });
  };
}

export const ipTaggingFactory: HttpFilterFactory<IPTagging> = {
  name: "envoy.filters.http.ip_tagging",
  type: "envoy.extensions.filters.http.ip_tagging.v3.IPTagging",
  compile({ request_type: type = "BOTH", ip_tags: wires }, env) {
    const stats = env.httpStats.scope("ip_tagging");
    const tags = compileAll("ip_tags", wires, ({ ip_tag_name: name, ip_list: list = [] }) => ({
      name: need("ip_tag_name", name),
      contains: compileCidrs(list),
      hits: stats.counter(`${name}.hit`),
    }));
    if (tags.length === 0) throw new ConfigError("ip_tags", "HTTP IP Tagging Filter requires ip_tags to be specified.");
    const total = stats.counter("total");
    const noHit = stats.counter("no_hit");
    return {
      handle(exchange, next) {
        const { headers } = exchange.request;
        const isInternal = headers.get("x-envoy-internal") === "true";
        if (type !== "BOTH" && isInternal !== (type === "INTERNAL")) return next(exchange);
        const ip = clientIp(exchange);
        const found = tags.filter(({ contains }) => contains(ip));
        if (found.length > 0) {
          const given = headers.joined("x-envoy-ip-tags");
          const names = found.map(({ name }) => name);
          headers.set("x-envoy-ip-tags", [...(given ? [given] : []), ...names].join(","));
          // The route may depend on them.
          exchange.clearRoute();
          for (const { hits } of found) hits.inc();
        } else noHit.inc();
        total.inc();
        return next(exchange);
      },
    };
  },
};
