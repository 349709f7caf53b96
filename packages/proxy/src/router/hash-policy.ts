/** Hashes of requests, for clusters whose balancers keep like requests together. */
import { durationToMs } from "@meltemi/protos";
import type { RouteAction_HashPolicy, RouteAction_HashPolicy_Cookie } from "@meltemi/protos/envoy/config/route/v3";
import type { Exchange } from "../http/exchange.ts";
import { ConfigError, compileAll, within } from "../lib/config-error.ts";
import { formatAddress } from "../listeners/connection.ts";
import { findQueryParameter } from "../matchers/query-matcher.ts";
import { compileReplacement } from "../matchers/regex.ts";
import { xxHash64 } from "../upstream/hash/xx-hash.ts";

export interface RequestHash {
  readonly hash: bigint | undefined;
  /** Value of a set-cookie header for the answer: a cookie that was asked for and not there. */
  readonly cookies: readonly string[];
}

export type HashPolicy = (exchange: Exchange) => RequestHash;

type HashMethod = (exchange: Exchange, cookies: string[]) => bigint | undefined;

const maxHash = (1n << 64n) - 1n;

/** Undefined where there are no policies. Throws ConfigError. */
export function compileHashPolicies(wire: readonly RouteAction_HashPolicy[] | undefined): HashPolicy | undefined {
  const methods = compileAll("hash_policy", wire, (policy) => ({
    compute: compileMethod(policy),
    isTerminal: policy.terminal === true,
  }));
  if (methods.length === 0) return undefined;
  return (exchange) => {
    let hash: bigint | undefined;
    const cookies: string[] = [];
    for (const { compute, isTerminal } of methods) {
      const next = compute(exchange, cookies);
      if (next !== undefined) hash = combine(hash, next);
      if (isTerminal && hash !== undefined) break;
    }
    return { hash, cookies };
  };
}

/** The former hash is turned by one bit, so that the same value twice does not cancel itself out. */
function combine(former: bigint | undefined, next: bigint): bigint {
  if (former === undefined) return next;
  return (((former << 1n) & maxHash) | (former >> 63n)) ^ next;
}

function compileMethod(wire: RouteAction_HashPolicy): HashMethod {
  const { header, cookie, connection_properties: connection, query_parameter: query, filter_state: state } = wire;
  if (header !== undefined) return within("header", () => hashHeader(header.header_name ?? "", header.regex_rewrite));
  if (cookie !== undefined) return within("cookie", () => hashCookie(cookie));
  if (connection !== undefined) return connection.source_ip === true ? hashSourceIp : () => undefined;
  if (query !== undefined) {
    const { name = "" } = query;
    return ({ request }) => hashText(findQueryParameter(request.path, name));
  }
  if (state !== undefined) {
    const { key = "" } = state;
    return ({ info }) => hashText(info.findFilterState(key)?.text);
  }
  throw new ConfigError("", "one of the kinds of hash policies is required");
}

type HeaderRewrite = NonNullable<RouteAction_HashPolicy["header"]>["regex_rewrite"];

function hashHeader(headerName: string, rewrite: HeaderRewrite): HashMethod {
  const name = headerName.toLowerCase();
  if (name === "") throw new ConfigError("header_name", "must not be empty");
  const replace = rewrite
    ? within("regex_rewrite", () => compileReplacement(rewrite.pattern?.regex ?? "", rewrite.substitution ?? ""))
    : undefined;
  return ({ request }) => {
    const values = name.startsWith(":") ? pseudoValues(name, request) : request.headers.getAll(name);
    if (values.length === 0) return undefined;
    const rewritten = replace ? values.map(replace) : [...values];
    // Sorted, so that the order of several values does not matter; each hash is the seed of the next.
    return rewritten.sort().reduce((seed, value) => xxHash64(value, seed), 0n);
  };
}

function pseudoValues(name: string, request: Exchange["request"]): readonly string[] {
  const values: Readonly<Record<string, string>> = {
    ":authority": request.authority,
    ":path": request.path,
    ":method": request.method,
    ":scheme": request.scheme,
  };
  const value = values[name];
  return value === undefined ? [] : [value];
}

function hashSourceIp({ info, connection }: Exchange): bigint | undefined {
  const { ip } = info.remoteAddress ?? connection.remoteAddress;
  return ip === "" || ip.includes("/") ? undefined : xxHash64(ip);
}

function hashText(text: string | undefined): bigint | undefined {
  return text === undefined ? undefined : xxHash64(text);
}

function hashCookie(wire: RouteAction_HashPolicy_Cookie): HashMethod {
  const { name = "" } = wire;
  if (name === "") throw new ConfigError("name", "must not be empty");
  const ttlMs = durationToMs(wire.ttl);
  return (exchange, cookies) => {
    const value = findCookie(exchange.request.headers.getAll("cookie"), name);
    if (value !== undefined && value !== "") return xxHash64(value);
    if (ttlMs === undefined) return undefined;
    const created = createCookieValue(exchange);
    cookies.push(formatCookie(wire, created, Math.floor(ttlMs / 1000)));
    return xxHash64(created);
  };
}

/** The value of a cookie, without the quotes that it may have; undefined where there is none. */
export function findCookie(headers: readonly string[], name: string): string | undefined {
  for (const header of headers) {
    for (const part of header.split(";")) {
      const equals = part.indexOf("=");
      if (equals < 0 || part.slice(0, equals).trim() !== name) continue;
      const value = part.slice(equals + 1).trim();
      return value.length > 1 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value;
    }
  }
  return undefined;
}

/** By both ends of the connection, so that requests which run at once on it get the same. */
function createCookieValue({ connection }: Exchange): string {
  const ends = formatAddress(connection.remoteAddress) + formatAddress(connection.localAddress);
  return xxHash64(ends).toString(16).padStart(16, "0");
}

function formatCookie(wire: RouteAction_HashPolicy_Cookie, value: string, ttlSeconds: number): string {
  // Without a time to live it is a cookie of the browser's session.
  const age = ttlSeconds === 0 ? "" : `; Max-Age=${ttlSeconds}`;
  const path = wire.path === undefined || wire.path === "" ? "" : `; Path=${wire.path}`;
  const attributes = (wire.attributes ?? []).map(({ name = "", value: text = "" }) =>
    text === "" ? `; ${name}` : `; ${name}=${text}`,
  );
  return `${wire.name ?? ""}="${value}"${age}${path}${attributes.join("")}; HttpOnly`;
}
