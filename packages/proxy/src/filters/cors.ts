/** Cross-origin requests: preflights are answered here, and others' answers told what browsers may see of them. */

import type { CorsPolicy as OlderCorsPolicy } from "@meltemi/protos/envoy/config/route/v3";
import type { Cors, CorsPolicy } from "@meltemi/protos/envoy/extensions/filters/http/cors/v3";
import type { ProxyEnv } from "../config/env.ts";
import type { Exchange, HttpFilterFactory } from "../http/exchange.ts";
import { HeaderList } from "../http/header-list.ts";
import type { HttpRequest, HttpResponse } from "../http/message.ts";
import { compileAll } from "../lib/config-error.ts";
import { wrappedBool } from "../lib/wrapped.ts";
import { compileStringMatcher } from "../matchers/string-matcher.ts";
import { withAnswer } from "./answer.ts";

interface CompiledPolicy {
  readonly wire: CorsPolicy | OlderCorsPolicy;
  /** Undefined where the level names no origins. */
  readonly isAllowed: ((origin: string) => boolean) | undefined;
  readonly isEnabled: () => boolean;
  readonly isShadow: () => boolean;
}

export const corsFactory: HttpFilterFactory<Cors, CompiledPolicy> = {
  name: "envoy.filters.http.cors",
  type: "envoy.extensions.filters.http.cors.v3.Cors",
  routeTypes: ["envoy.extensions.filters.http.cors.v3.CorsPolicy"],
  compileRoute: (config, env) => compilePolicy(config as CorsPolicy, env),
  compile(_config, env) {
    const stats = env.httpStats.scope("cors");
    const valid = stats.counter("origin_valid");
    const invalid = stats.counter("origin_invalid");
    const findPolicies = createPolicyFinder(env);
    /** The policies where they are enabled and the request is across origins, with whether its origin may do so. */
    const judge = (exchange: Exchange, origin: string): Judgement | undefined => {
      const policies = findPolicies(exchange);
      const [closest] = policies;
      if (!closest) return undefined;
      const isEnabled = closest.isEnabled();
      if (!isEnabled && !closest.isShadow()) return undefined;
      const isAllowed = policies.find((policy) => policy.isAllowed)?.isAllowed?.(origin) ?? false;
      (isAllowed ? valid : invalid).inc();
      return isEnabled ? { policies, isAllowed } : undefined;
    };
    return {
      handle(exchange, next) {
        const origin = exchange.request.headers.get("origin");
        const judgement = origin ? judge(exchange, origin) : undefined;
        if (!origin || !judgement) return next(exchange);
        const { policies, isAllowed } = judgement;
        if (isPreflight(exchange.request)) {
          const isForwarded = flag(policies, "forward_not_matching_preflights") ?? true;
          if (isAllowed || !isForwarded) return Promise.resolve(answerPreflight(exchange, judgement));
        }
        if (!isAllowed) return next(exchange);
        return withAnswer(exchange, next, ({ headers }) => permit(headers, policies, origin));
      },
    };
  },
};

interface Judgement {
  readonly policies: readonly CompiledPolicy[];
  readonly isAllowed: boolean;
}

/** The levels' policies, the closest first. Only where no level has one by type do the older fields count. */
function createPolicyFinder(env: ProxyEnv): (exchange: Exchange) => readonly CompiledPolicy[] {
  const older = new WeakMap<object, CompiledPolicy>();
  const compileOnce = (wire: OlderCorsPolicy): CompiledPolicy => {
    const known = older.get(wire);
    if (known) return known;
    const policy = compilePolicy(wire, env);
    older.set(wire, policy);
    return policy;
  };
  return (exchange) => {
    const action = exchange.route?.action;
    if (!exchange.route || action?.kind !== "forward") return [];
    const typed = exchange.perRouteAll(corsFactory);
    if (typed.length > 0) return typed;
    const wires = [action.wire.cors, exchange.route.virtualHostWire.cors];
    return wires.flatMap((wire) => (wire ? [compileOnce(wire)] : []));
  };
}

function compilePolicy(wire: CorsPolicy | OlderCorsPolicy, env: ProxyEnv): CompiledPolicy {
  const origins = compileAll("allow_origin_string_match", wire.allow_origin_string_match, (matcher) => {
    const matches = compileStringMatcher(matcher);
    // One that takes the text "*" takes every origin.
    return matches("*") ? () => true : matches;
  });
  const { filter_enabled: enabled, shadow_enabled: shadow } = wire;
  return {
    wire,
    isAllowed: origins.length === 0 ? undefined : (origin) => origins.some((matches) => matches(origin)),
    isEnabled: enabled ? () => env.runtime.isChosen(enabled, env.random()) : () => true,
    isShadow: shadow ? () => env.runtime.isChosen(shadow, env.random()) : () => false,
  };
}

function isPreflight({ method, headers }: HttpRequest): boolean {
  return method === "OPTIONS" && (headers.get("access-control-request-method") ?? "") !== "";
}

type TextField = "allow_methods" | "allow_headers" | "expose_headers" | "max_age";
type FlagField = "allow_credentials" | "allow_private_network_access" | "forward_not_matching_preflights";

/** A field of the closest level that has it. */
function text(policies: readonly CompiledPolicy[], field: TextField): string {
  return policies.find(({ wire }) => wire[field])?.wire[field] ?? "";
}

function flag(policies: readonly CompiledPolicy[], field: FlagField): boolean | undefined {
  const found = policies.find(({ wire }) => wire[field]);
  return found && wrappedBool(found.wire[field], false);
}

function permit(headers: HeaderList, policies: readonly CompiledPolicy[], origin: string): void {
  headers.set("access-control-allow-origin", origin);
  if (flag(policies, "allow_credentials")) headers.set("access-control-allow-credentials", "true");
  const exposed = text(policies, "expose_headers");
  if (exposed !== "") headers.set("access-control-expose-headers", exposed);
}

function answerPreflight({ request, info }: Exchange, { policies, isAllowed }: Judgement): HttpResponse {
  const asked = (name: string): string => request.headers.get(name) ?? "";
  const headers = new HeaderList();
  if (isAllowed) headers.set("access-control-allow-origin", asked("origin"));
  if (flag(policies, "allow_credentials")) headers.set("access-control-allow-credentials", "true");
  const methods = text(policies, "allow_methods");
  const names = text(policies, "allow_headers");
  const maxAge = text(policies, "max_age");
  if (methods !== "") {
    headers.set("access-control-allow-methods", methods === "*" ? asked("access-control-request-method") : methods);
  }
  if (names !== "") {
    headers.set("access-control-allow-headers", names === "*" ? asked("access-control-request-headers") : names);
  }
  if (maxAge !== "") headers.set("access-control-max-age", maxAge);
  if (flag(policies, "allow_private_network_access") && asked("access-control-request-private-network") === "true") {
    headers.set("access-control-allow-private-network", "true");
  }
  // It is an answer like others, too.
  if (isAllowed) permit(headers, policies, asked("origin"));
  info.responseCodeDetails = "cors_response";
  return { status: 200, headers, body: undefined };
}
