/** What rate limits count a request under: the descriptors that routes and virtual hosts make of it. */

import { isIPv6 } from "node:net";
import type { RateLimit, RateLimit_Action } from "@meltemi/protos/envoy/config/route/v3";
import type { MetadataKey } from "@meltemi/protos/envoy/type/metadata/v3";
import type { ProxyEnv } from "../config/env.ts";
import type { Exchange } from "../http/exchange.ts";
import { ConfigError, compileAll, within } from "../lib/config-error.ts";
import { wrappedBool, wrappedNumber } from "../lib/wrapped.ts";
import { compileHeaderMatcher, readRequestHeader } from "../matchers/header-matcher.ts";
import { compileQueryMatcher } from "../matchers/query-matcher.ts";

export interface DescriptorEntry {
  readonly key: string;
  readonly value: string;
}

export interface Descriptor {
  readonly entries: readonly DescriptorEntry[];
  /** The limit that metadata asks for in place of the service's. */
  readonly limit?: { readonly requests_per_unit: number; readonly unit: string } | undefined;
}

/** "skip" leaves the entry out, undefined the whole descriptor. */
type MakeEntry = (exchange: Exchange) => DescriptorEntry | "skip" | undefined;

interface CompiledLimit {
  readonly stage: number;
  readonly disableKey: string;
  readonly make: (exchange: Exchange) => Descriptor | undefined;
}

export type VirtualHostLimits = "OVERRIDE" | "INCLUDE" | "IGNORE";

export interface DescriptorOptions {
  readonly stage: number;
  /** Whether the virtual host's limits count beside the route's. */
  readonly virtualHost: VirtualHostLimits;
  /** True where runtime switches a limit off by its disable_key. */
  readonly isDisabled: (key: string) => boolean;
}

/** Makes descriptors of requests; each rate limit is compiled when it is met first. */
export function createDescriptorSource(
  env: Pick<ProxyEnv, "node">,
): (exchange: Exchange, options: DescriptorOptions) => readonly Descriptor[] {
  const compiled = new WeakMap<object, readonly CompiledLimit[]>();
  const compileOnce = (list: readonly RateLimit[]): readonly CompiledLimit[] => {
    const known = compiled.get(list);
    if (known) return known;
    const limits = compileRateLimits(list, env);
    compiled.set(list, limits);
    return limits;
  };
  return (exchange, options) => {
    const { route } = exchange;
    if (route?.action.kind !== "forward") return [];
    const { rate_limits: own = [], include_vh_rate_limits: includes } = route.action.wire;
    const { rate_limits: shared = [] } = route.virtualHostWire;
    const choice = includes?.value ? "INCLUDE" : options.virtualHost;
    const usesShared = choice === "INCLUDE" || (choice === "OVERRIDE" && own.length === 0);
    const lists = usesShared ? [own, shared] : [own];
    return lists.flatMap((list) => makeAll(compileOnce(list), exchange, options));
  };
}

function makeAll(
  limits: readonly CompiledLimit[],
  exchange: Exchange,
  { stage, isDisabled }: DescriptorOptions,
): readonly Descriptor[] {
  return limits.flatMap((limit) => {
    if (limit.stage !== stage || (limit.disableKey !== "" && isDisabled(limit.disableKey))) return [];
    return limit.make(exchange) ?? [];
  });
}

/** Throws ConfigError. */
export function compileRateLimits(list: readonly RateLimit[], env: Pick<ProxyEnv, "node">): readonly CompiledLimit[] {
  return compileAll("rate_limits", list, (wire) => {
    const makers = compileAll("actions", wire.actions, (action) => compileAction(action, env));
    if (makers.length === 0) throw new ConfigError("actions", "must not be empty");
    const key = wire.limit?.dynamic_metadata?.metadata_key;
    return {
      stage: wrappedNumber(wire.stage, 0),
      disableKey: wire.disable_key ?? "",
      make: (exchange) => makeDescriptor(makers, exchange, key),
    };
  });
}

function makeDescriptor(
  makers: readonly MakeEntry[],
  exchange: Exchange,
  limitKey: MetadataKey | undefined,
): Descriptor | undefined {
  const entries: DescriptorEntry[] = [];
  for (const make of makers) {
    const entry = make(exchange);
    if (entry === undefined) return undefined;
    if (entry !== "skip") entries.push(entry);
  }
  if (entries.length === 0) return undefined;
  return limitKey ? { entries, limit: readLimit(exchange, limitKey) } : { entries };
}

function readLimit({ info }: Exchange, key: MetadataKey): Descriptor["limit"] {
  const value = readMetadata(info.dynamicMetadata.get(key.key ?? ""), key);
  if (typeof value !== "object" || value === null) return undefined;
  const { requests_per_unit: requests, unit } = value as Readonly<Record<string, unknown>>;
  return typeof requests === "number" && typeof unit === "string" ? { requests_per_unit: requests, unit } : undefined;
}

function compileAction(wire: RateLimit_Action, env: Pick<ProxyEnv, "node">): MakeEntry {
  const { node } = env;
  if (wire.source_cluster) return () => ({ key: "source_cluster", value: node.cluster ?? "" });
  if (wire.destination_cluster) {
    return ({ route }) =>
      route?.action.kind === "forward" ? { key: "destination_cluster", value: route.action.cluster } : undefined;
  }
  if (wire.remote_address) {
    return (exchange) => ({ key: "remote_address", value: clientIp(exchange) });
  }
  const { generic_key: generic, request_headers: header, masked_remote_address: masked } = wire;
  if (generic) {
    const entry = { key: generic.descriptor_key || "generic_key", value: generic.descriptor_value ?? "" };
    return () => entry;
  }
  if (header) return compileHeader(header);
  if (masked) {
    const bits = {
      v4: wrappedNumber(masked.v4_prefix_mask_len, 32),
      v6: wrappedNumber(masked.v6_prefix_mask_len, 128),
    };
    return (exchange) => ({ key: "masked_remote_address", value: maskAddress(clientIp(exchange), bits) });
  }
  return compileMatchAction(wire);
}

function compileHeader(wire: NonNullable<RateLimit_Action["request_headers"]>): MakeEntry {
  const { header_name: name = "", descriptor_key: key = "", skip_if_absent: skips } = wire;
  const read = readRequestHeader(name.toLowerCase());
  return ({ request }) => {
    const value = read(request);
    if (value === undefined) return skips ? "skip" : undefined;
    return value === "" ? undefined : { key, value };
  };
}

function compileMatchAction(wire: RateLimit_Action): MakeEntry {
  const { header_value_match: header, query_parameter_value_match: query, metadata, dynamic_metadata: dynamic } = wire;
  if (header) {
    const tests = within("header_value_match", () => compileAll("headers", header.headers, compileHeaderMatcher));
    const entry = { key: header.descriptor_key || "header_match", value: header.descriptor_value ?? "" };
    const expected = wrappedBool(header.expect_match, true);
    return ({ request }) => (tests.every((test) => test(request)) === expected ? entry : undefined);
  }
  if (query) {
    const tests = within("query_parameter_value_match", () =>
      compileAll("query_parameters", query.query_parameters, compileQueryMatcher),
    );
    const entry = { key: query.descriptor_key || "query_match", value: query.descriptor_value ?? "" };
    const expected = wrappedBool(query.expect_match, true);
    return ({ request }) => (tests.every((test) => test(request.path)) === expected ? entry : undefined);
  }
  if (metadata) return compileMetadata(metadata, metadata.source === "ROUTE_ENTRY");
  if (dynamic) return compileMetadata(dynamic, false);
  throw new ConfigError(
    "",
    wire.extension ? `extension ${wire.extension.name ?? ""} is not supported` : "names no action",
  );
}

function compileMetadata(wire: NonNullable<RateLimit_Action["metadata"]>, isOfRoute: boolean): MakeEntry {
  const { descriptor_key: key = "", default_value: otherwise = "", skip_if_absent: skips } = wire;
  const metadataKey = wire.metadata_key ?? {};
  const name = metadataKey.key ?? "";
  return ({ info, route }) => {
    const found = readMetadata(isOfRoute ? route?.metadata[name] : info.dynamicMetadata.get(name), metadataKey);
    const value = typeof found === "string" && found !== "" ? found : otherwise;
    if (value !== "") return { key, value };
    return skips ? "skip" : undefined;
  };
}

function readMetadata(root: unknown, { path = [] }: MetadataKey): unknown {
  let value = root;
  for (const { key = "" } of path) {
    if (typeof value !== "object" || value === null) return undefined;
    value = (value as Readonly<Record<string, unknown>>)[key];
  }
  return value;
}

/** The client as headers that are trusted name it, or the connection's. */
export function clientIp({ info, connection }: Exchange): string {
  return (info.remoteAddress ?? connection.remoteAddress).ip;
}

function maskAddress(ip: string, { v4, v6 }: { readonly v4: number; readonly v6: number }): string {
  return isIPv6(ip) ? `${maskV6(ip, v6)}/${v6}` : `${maskV4(ip, v4)}/${v4}`;
}

function maskV4(ip: string, bits: number): string {
  return ip
    .split(".")
    .map((part, index) => Number(part) & keptBits(bits - index * 8, 8))
    .join(".");
}

function maskV6(ip: string, bits: number): string {
  const [head = "", tail] = ip.split("::");
  const groupsOf = (text: string): number[] =>
    text
      .split(":")
      .filter(Boolean)
      .map((group) => Number.parseInt(group, 16));
  const left = groupsOf(head);
  const right = groupsOf(tail ?? "");
  const groups = [...left, ...new Array<number>(8 - left.length - right.length).fill(0), ...right];
  const masked = groups.map((group, index) => (group & keptBits(bits - index * 16, 16)).toString(16)).join(":");
  // The URL parser writes addresses in their canonical form.
  return new URL(`http://[${masked}]`).hostname.slice(1, -1);
}

/** A mask of the first `kept` of `width` bits. */
function keptBits(kept: number, width: number): number {
  const ones = Math.min(Math.max(kept, 0), width);
  return ((1 << width) - 1) ^ ((1 << (width - ones)) - 1);
}
