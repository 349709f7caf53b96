/** Keeps the requests of a session on one host, which a cookie or header names. */
import { durationToMs } from "@meltemi/protos";
import type { TypedExtensionConfig } from "@meltemi/protos/envoy/config/core/v3";
import type {
  StatefulSession,
  StatefulSessionPerRoute,
} from "@meltemi/protos/envoy/extensions/filters/http/stateful_session/v3";
import type { CookieBasedSessionState } from "@meltemi/protos/envoy/extensions/http/stateful_session/cookie/v3";
import type { HeaderBasedSessionState } from "@meltemi/protos/envoy/extensions/http/stateful_session/header/v3";
import type { ProxyEnv } from "../config/env.ts";
import type { Exchange, HttpFilterFactory } from "../http/exchange.ts";
import type { HeaderList } from "../http/header-list.ts";
import { ConfigError, need, within } from "../lib/config-error.ts";
import { withAnswer } from "./answer.ts";
import { findCookie } from "./cookies.ts";
import { unpackConfig } from "./unpack-config.ts";

interface Session {
  readonly isStrict: boolean;
  /** The address that a request names; undefined where it names none. */
  readonly read: (exchange: Exchange) => string | undefined;
  readonly write: (headers: HeaderList, address: string) => void;
  readonly concerns: (path: string) => boolean;
}

type RouteChoice = Session | "off";

/** Where the router and the balancers look for the host: { address, isStrict }. */
const overrideKey = "envoy.override_host";

export const statefulSessionFactory: HttpFilterFactory<StatefulSession, RouteChoice> = {
  name: "envoy.filters.http.stateful_session",
  type: "envoy.extensions.filters.http.stateful_session.v3.StatefulSession",
  routeTypes: ["envoy.extensions.filters.http.stateful_session.v3.StatefulSessionPerRoute"],
  compileRoute(config, env) {
    const { disabled = false, stateful_session: wire } = config as StatefulSessionPerRoute;
    return disabled ? "off" : within("stateful_session", () => compileSession(wire ?? {}, env));
  },
  compile(config, env) {
    const own = compileSession(config, env);
    return {
      handle(exchange, next) {
        const session = exchange.perRoute(statefulSessionFactory) ?? own;
        if (session === "off" || !session.concerns(exchange.request.path)) return next(exchange);
        const { info } = exchange;
        const wanted = session.read(exchange);
        if (wanted !== undefined) {
          info.filterState.set(overrideKey, { text: wanted, value: { address: wanted, isStrict: session.isStrict } });
        }
        return withAnswer(exchange, next, ({ headers }) => {
          const address = info.upstreamHost?.address;
          if (address !== undefined && address !== wanted) session.write(headers, address);
        });
      },
    };
  },
};

/** Without a session state the filter does nothing. Throws ConfigError. */
function compileSession({ session_state: state, strict = false }: StatefulSession, env: ProxyEnv): RouteChoice {
  if (!state) return "off";
  return { isStrict: strict, ...within("session_state", () => compileState(state, env)) };
}

function compileState({ name, typed_config: config }: TypedExtensionConfig, env: ProxyEnv): Omit<Session, "isStrict"> {
  const { typeName, message } = unpackConfig(need("typed_config", config));
  if (typeName === "envoy.extensions.http.stateful_session.cookie.v3.CookieBasedSessionState") {
    return compileCookie(message, env);
  }
  if (typeName === "envoy.extensions.http.stateful_session.header.v3.HeaderBasedSessionState")
    return compileHeader(message);
  throw new ConfigError("typed_config", `the session state ${name ?? ""} (${typeName}) is not supported`);
}

function compileHeader({ name: given }: HeaderBasedSessionState): Omit<Session, "isStrict"> {
  const name = need("typed_config.name", given).toLowerCase();
  return {
    concerns: () => true,
    read: ({ request }) => decodeAddress(request.headers.get(name)),
    write: (headers, address) => headers.set(name, Buffer.from(address).toString("base64")),
  };
}

function decodeAddress(text: string | undefined): string | undefined {
  if (text === undefined || !/^[A-Za-z0-9+/]+=*$/.test(text)) return undefined;
  return Buffer.from(text, "base64").toString("utf8");
}

function compileCookie({ cookie = {} }: CookieBasedSessionState, { clock }: ProxyEnv): Omit<Session, "isStrict"> {
  const name = need("typed_config.cookie.name", cookie.name || undefined);
  const path = cookie.path ?? "";
  const ttlSeconds = Math.trunc((durationToMs(cookie.ttl) ?? 0) / 1000);
  const attributes = [
    ...(ttlSeconds > 0 ? [`; Max-Age=${ttlSeconds}`] : []),
    ...(path === "" ? [] : [`; Path=${path}`]),
    "; HttpOnly",
  ].join("");
  return {
    concerns: compileCookiePath(path),
    read({ request }) {
      const value = findCookie(request.headers, name);
      return value === undefined ? undefined : readCookieValue(value, clock.now());
    },
    write(headers, address) {
      const expires = ttlSeconds > 0 ? Math.trunc(clock.now() / 1000) + ttlSeconds : 0;
      headers.append("set-cookie", `${name}="${writeCookieValue(address, expires)}"${attributes}`);
    },
  };
}

/** Cookies are sent to their path and below (RFC 6265, 5.1.4). */
function compileCookiePath(path: string): (requestPath: string) => boolean {
  if (path === "" || path === "/") return () => true;
  const isFolder = path.endsWith("/");
  return (requestPath) => {
    if (!requestPath.startsWith(path)) return false;
    const after = requestPath[path.length];
    return isFolder || after === undefined || after === "/" || after === "?" || after === "#";
  };
}

/** A protobuf message of the address (1) and the second at which it ends (2), in base 64. */
function writeCookieValue(address: string, expires: number): string {
  const text = Buffer.from(address);
  const bytes = [0x0a, ...varint(text.length), ...text, ...(expires > 0 ? [0x10, ...varint(expires)] : [])];
  return Buffer.from(bytes).toString("base64");
}

function varint(value: number): readonly number[] {
  const bytes: number[] = [];
  let rest = value;
  while (rest > 127) {
    bytes.push((rest % 128) + 128);
    rest = Math.floor(rest / 128);
  }
  return [...bytes, rest];
}

function readCookieValue(text: string, nowMs: number): string | undefined {
  const bytes = Buffer.from(text, "base64");
  const [tag, length = 0] = bytes;
  // Cookies of older proxies are the address alone.
  if (tag !== 0x0a || length > 127 || bytes.length < 2 + length) return decodeAddress(text);
  const rest = bytes.subarray(2 + length);
  if (rest.length > 1 && rest[0] === 0x10 && readVarint(rest.subarray(1)) * 1000 < nowMs) return undefined;
  return bytes.subarray(2, 2 + length).toString("utf8");
}

function readVarint(bytes: Uint8Array): number {
  let value = 0;
  for (const [index, byte] of bytes.entries()) {
    value += (byte & 127) * 128 ** index;
    if (byte < 128) break;
  }
  return value;
}
