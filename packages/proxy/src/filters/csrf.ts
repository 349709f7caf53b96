/** Refuses requests that change something and come from a page of another origin. */
import type { CsrfPolicy } from "@meltemi/protos/envoy/extensions/filters/http/csrf/v3";
import type { ProxyEnv } from "../config/env.ts";
import { type HttpFilterFactory, LocalReplyError } from "../http/exchange.ts";
import type { HttpRequest } from "../http/message.ts";
import { compileAll, need } from "../lib/config-error.ts";
import { compileStringMatcher } from "../matchers/string-matcher.ts";

interface CompiledPolicy {
  readonly isEnabled: () => boolean;
  readonly isShadow: () => boolean;
  readonly additional: readonly ((host: string) => boolean)[];
}

const typeName = "envoy.extensions.filters.http.csrf.v3.CsrfPolicy";
const changingMethods = new Set(["POST", "PUT", "DELETE", "PATCH"]);

export const csrfFactory: HttpFilterFactory<CsrfPolicy, CompiledPolicy> = {
  name: "envoy.filters.http.csrf",
  type: typeName,
  routeTypes: [typeName],
  compileRoute: (config, env) => compilePolicy(config as CsrfPolicy, env),
  compile(config, env) {
    const own = compilePolicy(config, env);
    const stats = env.httpStats.scope("csrf");
    const missing = stats.counter("missing_source_origin");
    const invalid = stats.counter("request_invalid");
    const valid = stats.counter("request_valid");
    return {
      handle(exchange, next) {
        const { request } = exchange;
        if (!changingMethods.has(request.method)) return next(exchange);
        const policy = exchange.perRoute(csrfFactory) ?? own;
        const isEnabled = policy.isEnabled();
        if (!isEnabled && !policy.isShadow()) return next(exchange);
        const source = findSource(request);
        if (source === "") missing.inc();
        else if (isFriend(source, request, policy)) {
          valid.inc();
          return next(exchange);
        } else invalid.inc();
        if (!isEnabled) return next(exchange);
        return Promise.reject(
          new LocalReplyError({ status: 403, body: "Invalid origin", details: "csrf_origin_mismatch" }),
        );
      },
    };
  },
};

function compilePolicy(wire: CsrfPolicy, env: ProxyEnv): CompiledPolicy {
  const enabled = need("filter_enabled", wire.filter_enabled);
  const { shadow_enabled: shadow } = wire;
  return {
    isEnabled: () => env.runtime.isChosen(enabled, env.random()),
    isShadow: shadow ? () => env.runtime.isChosen(shadow, env.random()) : () => false,
    additional: compileAll("additional_origins", wire.additional_origins, compileStringMatcher),
  };
}

/** Host and port that the request's page came from; "" where that is not known. */
function findSource({ headers }: HttpRequest): string {
  const origin = headers.get("origin") ?? "";
  return hostOf(origin === "" || origin === "null" ? (headers.get("referer") ?? "") : origin);
}

function hostOf(url: string): string {
  const start = url.indexOf("://");
  if (start < 0) return url.split("/", 1)[0] ?? "";
  return url.slice(start + 3).split(/[/?#]/, 1)[0] ?? "";
}

function isFriend(source: string, { authority }: HttpRequest, { additional }: CompiledPolicy): boolean {
  return source === authority || additional.some((matches) => matches(source));
}
