/** The HTTP filters of a chain, compiled into one handler. */
import { typeNameOf } from "@meltemi/protos";
import type { HttpFilter as WireFilter } from "@meltemi/protos/envoy/extensions/filters/network/http_connection_manager/v3";
import type { Any } from "@meltemi/protos/google/protobuf";
import type { HttpFilterEnv } from "../config/env.ts";
import { findHttpFilter } from "../filters/registry.ts";
import { typeNameOfConfig, unpackConfig } from "../filters/unpack-config.ts";
import { ConfigError, compileAll, need, within } from "../lib/config-error.ts";
import type { Route } from "../router/types.ts";
import {
  type Exchange,
  type HttpFilter,
  type HttpFilterFactory,
  type HttpHandler,
  LocalReplyError,
} from "./exchange.ts";

/** A filter at its place in a chain. */
interface Link {
  readonly name: string;
  /** Factory and filter in force; undefined where its configuration has not come. */
  readonly current: () => { readonly factory: AnyFactory; readonly filter: HttpFilter } | undefined;
  readonly isDisabled: boolean;
  readonly ready: Promise<void> | undefined;
  readonly close: () => void;
}

type AnyFactory = HttpFilterFactory<unknown, unknown>;

const routerType = "envoy.extensions.filters.http.router.v3.Router";
const missing = { status: 500, body: "", flags: ["NFCF"], details: "filter_config_not_found" } as const;

/** What an exchange must know for the filters of its chain. */
export interface ChainExchange extends Exchange {
  /** One bit for each filter that is off for this request; undefined until it was asked for. */
  filtersOff: number | undefined;
}

export interface FilterChain {
  readonly handle: (exchange: ChainExchange) => ReturnType<HttpHandler>;
  /** The name that a filter of this kind has in the chain, under which routes speak of it. */
  nameOf(factory: HttpFilterFactory<never, unknown>): string;
  /** When filters whose configuration comes by itself have it. */
  readonly ready: readonly Promise<void>[];
  close(): void;
}

/** Throws ConfigError, and leaves nothing behind. */
export function compileFilterChain(wires: readonly WireFilter[] | undefined, env: HttpFilterEnv): FilterChain {
  const links: Link[] = [];
  try {
    compileAll("http_filters", wires, (wire, index) => {
      const link = compileLink(wire, index === (wires?.length ?? 0) - 1, env);
      if (link !== undefined) links.push(link);
    });
    if (links.length === 0) throw new ConfigError("http_filters", "a router filter is required");
    if (links.length > 31) throw new ConfigError("http_filters", "more than 31 filters are not implemented");
  } catch (cause: unknown) {
    for (const link of links) link.close();
    throw cause;
  }
  return {
    handle: linkAll(links) as FilterChain["handle"],
    nameOf: (factory) => links.find((link) => link.current()?.factory === factory)?.name ?? factory.name,
    ready: links.flatMap(({ ready }) => (ready === undefined ? [] : [ready])),
    close: () => {
      for (const link of links) link.close();
    },
  };
}

/** From the last to the first, each with the handler of those after it. */
function linkAll(links: readonly Link[]): HttpHandler {
  const end: HttpHandler = () => Promise.reject(new Error("the last filter of a chain called the next"));
  return links.reduceRight<HttpHandler>((next, link, index) => {
    if (index === links.length - 1) return run(link, next);
    const handle = run(link, next);
    const bit = 1 << index;
    return (exchange) => {
      const chained = exchange as ChainExchange;
      chained.filtersOff ??= findOff(links, chained.route);
      return (chained.filtersOff & bit) === 0 ? handle(exchange) : next(exchange);
    };
  }, end);
}

function run(link: Link, next: HttpHandler): HttpHandler {
  return (exchange) => {
    const current = link.current();
    return current === undefined ? Promise.reject(new LocalReplyError(missing)) : current.filter.handle(exchange, next);
  };
}

/** Decided once, by the route as it is found first: a filter that changes it does not change which filters run. */
function findOff(links: readonly Link[], route: Route | undefined): number {
  let off = 0;
  for (const [index, { name, isDisabled }] of links.entries()) {
    const isOff = isDisabled
      ? route === undefined || route.isDisabled(name) || route.filterConfig(name) === undefined
      : route?.isDisabled(name) === true;
    if (isOff) off |= 1 << index;
  }
  return off;
}

function compileLink(wire: WireFilter, isLast: boolean, env: HttpFilterEnv): Link | undefined {
  const name = need("name", wire.name);
  const isDisabled = wire.disabled === true;
  if (wire.config_discovery !== undefined) return compileDiscovered(wire, isLast, env);
  const any = need("typed_config", wire.typed_config);
  const factory = within("typed_config", () => findFactory(any, wire.is_optional === true));
  if (factory === undefined) return undefined;
  checkPlace(factory.type, name, isLast);
  const filter = within("typed_config", () => factory.compile(unpackConfig(any).message, env));
  const current = { factory, filter };
  return { name, current: () => current, isDisabled, ready: undefined, close: () => filter.close?.() };
}

function findFactory(any: Any, isOptional: boolean): AnyFactory | undefined {
  const typeName = typeNameOfConfig(any);
  const factory = findHttpFilter(typeName);
  if (factory !== undefined || isOptional) return factory as AnyFactory | undefined;
  throw new ConfigError("", `no HTTP filter takes ${typeName || "nothing"}`);
}

/** The router ends a chain, and nothing else does. */
function checkPlace(typeName: string, name: string, isLast: boolean): void {
  if ((typeName === routerType) === isLast) return;
  throw new ConfigError(
    "",
    isLast
      ? `non-terminal filter named ${name} of type ${typeName} is the last filter in a http filter chain`
      : `terminal filter named ${name} of type ${typeName} must be the last filter in a http filter chain`,
  );
}

/** A filter whose configuration comes by ECDS, and changes. */
function compileDiscovered(wire: WireFilter, isLast: boolean, env: HttpFilterEnv): Link {
  const name = need("name", wire.name);
  const discovery = wire.config_discovery ?? {};
  const types = new Set((discovery.type_urls ?? []).map(typeNameOf));
  if (types.size === 0) throw new ConfigError("config_discovery.type_urls", "is required");
  for (const type of types) {
    if (findHttpFilter(type) === undefined) throw new ConfigError("config_discovery.type_urls", `${type} is unknown`);
  }
  if (isLast) throw new ConfigError("config_discovery", "the last filter must be a router whose configuration is here");
  let current: { readonly factory: AnyFactory; readonly filter: HttpFilter } | undefined;
  const apply = (typeName: string, message: unknown): void => {
    const factory = findHttpFilter(typeName) as AnyFactory | undefined;
    if (factory === undefined || !types.has(typeName))
      throw new ConfigError("", `${typeName} is not among its type_urls`);
    const filter = factory.compile(message, env);
    current?.filter.close?.();
    current = { factory, filter };
  };
  const { default_config: usual } = discovery;
  if (usual !== undefined) {
    const { typeName, message } = within("config_discovery.default_config", () => unpackConfig(usual));
    within("config_discovery.default_config", () => apply(typeName, message));
  }
  const origin = discovery.config_source === undefined ? {} : { source: discovery.config_source };
  const subscription = env.extensions.open(name, apply, origin);
  return {
    name,
    current: () => current,
    isDisabled: wire.disabled === true,
    ready: discovery.apply_default_config_without_warming === true ? undefined : subscription.ready,
    close: () => {
      subscription.close();
      current?.filter.close?.();
    },
  };
}
