/** Users with passwords, as a file of htpasswd has them. */
import { createHash, timingSafeEqual } from "node:crypto";
import type { DataSource } from "@meltemi/protos/envoy/config/core/v3";
import type { BasicAuth, BasicAuthPerRoute } from "@meltemi/protos/envoy/extensions/filters/http/basic_auth/v3";
import { type Exchange, type HttpFilterFactory, LocalReplyError } from "../http/exchange.ts";
import { HeaderList } from "../http/header-list.ts";
import { ConfigError, need, within } from "../lib/config-error.ts";
import { readDataSource } from "../router/data-source.ts";

/** SHA-1 of passwords by user. */
type Users = ReadonlyMap<string, Buffer>;

export const basicAuthFactory: HttpFilterFactory<BasicAuth, Users> = {
  name: "envoy.filters.http.basic_auth",
  type: "envoy.extensions.filters.http.basic_auth.v3.BasicAuth",
  routeTypes: ["envoy.extensions.filters.http.basic_auth.v3.BasicAuthPerRoute"],
  compileRoute: (config) => within("users", () => readUsers((config as BasicAuthPerRoute).users)),
  compile(config, env) {
    const own = within("users", () => readUsers(config.users));
    const forwarded = (config.forward_username_header ?? "").toLowerCase();
    const stats = env.httpStats.scope("basic_auth");
    const allowed = stats.counter("allowed");
    const denied = stats.counter("denied");
    return {
      handle(exchange, next) {
        const result = authenticate(exchange, exchange.perRoute(basicAuthFactory) ?? own);
        if ("problem" in result) {
          denied.inc();
          return Promise.reject(deny(exchange, result));
        }
        if (forwarded !== "") exchange.request.headers.set(forwarded, result.user);
        allowed.inc();
        return next(exchange);
      },
    };
  },
};

function readUsers(source: DataSource | undefined): Users {
  const text = Buffer.from(readDataSource(need("", source))).toString("utf8");
  const users = new Map<string, Buffer>();
  for (const line of text.split(/\r?\n/)) {
    if (line === "" || line.startsWith("#")) continue;
    const [, user = "", hash = ""] = /^([^:]+):\{SHA\}([A-Za-z0-9+/]{27}=)$/.exec(line) ?? [];
    if (user === "") throw new ConfigError("", "unsupported htpasswd format: please use {SHA}");
    if (users.has(user)) throw new ConfigError("", "duplicate users");
    users.set(user, Buffer.from(hash, "base64"));
  }
  return users;
}

type Result = { readonly user: string } | { readonly problem: string; readonly details: string };

function authenticate({ request }: Exchange, users: Users): Result {
  const given = request.headers.get("authorization") ?? "";
  if (given === "") return { problem: "Missing username and password.", details: "no_credential_for_basic_auth" };
  if (!/^basic /i.test(given)) {
    return { problem: "Expected 'Basic' authentication scheme.", details: "invalid_scheme_for_basic_auth" };
  }
  const decoded = Buffer.from(given.slice("basic ".length).trim(), "base64").toString("utf8");
  const colon = decoded.indexOf(":");
  if (colon < 0) return { problem: "Invalid basic credential format.", details: "invalid_format_for_basic_auth" };
  const user = decoded.slice(0, colon);
  const hash = createHash("sha1")
    .update(decoded.slice(colon + 1))
    .digest();
  const expected = users.get(user);
  if (expected?.length === hash.length && timingSafeEqual(expected, hash)) return { user };
  return { problem: "Invalid username/password combination.", details: "invalid_credential_for_basic_auth" };
}

function deny({ request }: Exchange, result: { readonly problem: string; readonly details: string }): LocalReplyError {
  const { scheme, authority, path } = request;
  const headers = new HeaderList(["www-authenticate", `Basic realm="${scheme}://${authority}${path}"`]);
  const body = `User authentication failed. ${result.problem}`;
  return new LocalReplyError({ status: 401, body, headers, details: result.details });
}
