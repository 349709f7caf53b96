/** Verifies JSON web tokens before requests go on. */
import type {
  JwtAuthentication,
  JwtRequirement,
  PerRouteConfig,
  RequirementRule,
} from "@meltemi/protos/envoy/extensions/filters/http/jwt_authn/v3";
import type { HttpFilterEnv } from "../../config/env.ts";
import { type Exchange, type HttpFilter, type HttpFilterFactory, LocalReplyError } from "../../http/exchange.ts";
import { HeaderList } from "../../http/header-list.ts";
import type { HttpRequest } from "../../http/message.ts";
import { ConfigError, compileAll, within } from "../../lib/config-error.ts";
import { compileRouteMatch } from "../route-match.ts";
import { Provider } from "./provider.ts";
import { compileRequirement, type Findings, type Requirement, type Verdict } from "./requirement.ts";
import { jwtStatuses } from "./status.ts";

/** Of a route: the name of a requirement, or none for none. */
interface RouteChoice {
  readonly isDisabled: boolean;
  readonly requirement: string;
}

export const jwtAuthnFactory: HttpFilterFactory<JwtAuthentication, RouteChoice> = {
  name: "envoy.filters.http.jwt_authn",
  type: "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
  routeTypes: ["envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig"],
  compileRoute(config) {
    const { disabled = false, requirement_name: requirement = "" } = config as PerRouteConfig;
    if (!disabled && requirement === "") throw new ConfigError("", "disabled or requirement_name is required");
    return { isDisabled: disabled, requirement };
  },
  compile: compileFilter,
};

function compileFilter(config: JwtAuthentication, env: HttpFilterEnv): HttpFilter {
  const stats = env.httpStats.scope("jwt_authn");
  const allowed = stats.counter("allowed");
  const denied = stats.counter("denied");
  const bypassed = stats.counter("cors_preflight_bypassed");
  const providers = compileProviders(config, env);
  const named = new Map<string, Requirement>(
    Object.entries(config.requirement_map ?? {}).map(([name, wire]) => [
      name,
      within(`requirement_map.${name}`, () => compileRequirement(wire, providers)),
    ]),
  );
  const findByRules = compileRules(config, (wire) => compileRequirement(wire, providers), named);
  const isStripped = config.strip_failure_response === true;

  const find = (exchange: Exchange): Requirement | undefined => {
    const choice = exchange.perRoute(jwtAuthnFactory);
    if (!choice) return findByRules(exchange);
    if (choice.isDisabled) return undefined;
    const requirement = named.get(choice.requirement);
    if (requirement) return requirement;
    denied.inc();
    throw denyUnknown(choice.requirement, named, isStripped);
  };

  return {
    handle(exchange, next) {
      if (config.bypass_cors_preflight && isPreflight(exchange.request)) {
        bypassed.inc();
        allowed.inc();
        return next(exchange);
      }
      const conclude = (verdict: Verdict, findings: Findings): void => {
        if (Object.keys(findings.metadata).length > 0) addMetadata(exchange, findings.metadata);
        if (findings.clearsRoute) exchange.clearRoute();
        if (verdict === undefined) {
          allowed.inc();
          return;
        }
        denied.inc();
        throw deny(verdict, realm, isStripped);
      };
      let realm = "";
      try {
        const requirement = find(exchange);
        if (!requirement) {
          allowed.inc();
          return next(exchange);
        }
        realm = describeRealm(exchange.request);
        const findings: Findings = { exchange, metadata: {}, clearsRoute: false };
        const verdict = requirement(findings);
        if (verdict instanceof Promise) {
          return verdict.then((late) => {
            conclude(late, findings);
            return next(exchange);
          });
        }
        conclude(verdict, findings);
      } catch (cause: unknown) {
        return Promise.reject(cause);
      }
      return next(exchange);
    },
    close() {
      for (const provider of providers.values()) provider.keys.close();
    },
  };
}

function compileProviders(config: JwtAuthentication, env: HttpFilterEnv): ReadonlyMap<string, Provider> {
  const stats = env.httpStats.scope("jwt_authn");
  const providerEnv = {
    clock: env.clock,
    clusters: env.clusters,
    log: env.log,
    random: env.random,
    fetched: stats.counter("jwks_fetch_success"),
    failed: stats.counter("jwks_fetch_failed"),
    cacheHit: stats.counter("jwt_cache_hit"),
    cacheMiss: stats.counter("jwt_cache_miss"),
  };
  return new Map(
    Object.entries(config.providers ?? {}).map(([name, wire]) => [
      name,
      within(`providers.${name}`, () => new Provider(name, wire, providerEnv)),
    ]),
  );
}

type FindRequirement = (exchange: Exchange) => Requirement | undefined;

function compileRules(
  config: JwtAuthentication,
  compile: (wire: JwtRequirement) => Requirement,
  named: ReadonlyMap<string, Requirement>,
): FindRequirement {
  const rules = compileAll("rules", config.rules, (rule) => ({
    matches: within("match", () => compileRouteMatch(rule.match ?? {})),
    requirement: compileRule(rule, compile, named),
  }));
  const { name: stateName = "", requires: states = {} } = config.filter_state_rules ?? {};
  const byState = new Map(
    Object.entries(states).map(([key, wire]) => [key, within(`filter_state_rules.${key}`, () => compile(wire))]),
  );
  return ({ request, info }) => {
    for (const { matches, requirement } of rules) if (matches(request)) return requirement;
    const state = byState.size === 0 ? undefined : info.findFilterState(stateName)?.text;
    return state === undefined ? undefined : byState.get(state);
  };
}

function compileRule(
  { requires, requirement_name: name }: RequirementRule,
  compile: (wire: JwtRequirement) => Requirement,
  named: ReadonlyMap<string, Requirement>,
): Requirement | undefined {
  if (requires) return within("requires", () => compile(requires));
  if (name === undefined) return undefined;
  const requirement = named.get(name);
  if (!requirement) throw new ConfigError("requirement_name", `Wrong requirement_name: ${name}`);
  return requirement;
}

function isPreflight({ method, headers }: HttpRequest): boolean {
  return (
    method === "OPTIONS" &&
    (headers.get("origin") ?? "") !== "" &&
    (headers.get("access-control-request-method") ?? "") !== ""
  );
}

function addMetadata({ info }: Exchange, found: Record<string, unknown>): void {
  const before = info.dynamicMetadata.get(jwtAuthnFactory.name);
  info.dynamicMetadata.set(jwtAuthnFactory.name, before ? { ...before, ...found } : found);
}

const longestRealm = 256;

/** The request's own address, as it came. */
function describeRealm({ scheme, authority, path, headers }: HttpRequest): string {
  const original = headers.get("x-envoy-original-path") ?? path;
  return `${scheme}://${authority}${original.slice(0, longestRealm)}`;
}

function details(text: string): string {
  return `jwt_authn_access_denied{${text.replaceAll(/\s/g, "_")}}`;
}

function deny(status: Exclude<Verdict, undefined>, realm: string, isStripped: boolean): LocalReplyError {
  const { text } = jwtStatuses[status];
  const reply = { status: status === "audience" ? 403 : 401, details: details(text) };
  if (isStripped) return new LocalReplyError({ ...reply, body: "" });
  const problem = status === "missing" ? "" : ', error="invalid_token"';
  const headers = new HeaderList(["www-authenticate", `Bearer realm="${realm}"${problem}`]);
  return new LocalReplyError({ ...reply, body: text, headers });
}

function denyUnknown(name: string, named: ReadonlyMap<string, Requirement>, isStripped: boolean): LocalReplyError {
  const text = `Wrong requirement_name: ${name}. It should be one of [${[...named.keys()].join(",")}]`;
  const body = isStripped ? "" : `Failed JWT authentication: ${text}`;
  return new LocalReplyError({ status: 403, details: details(text), body });
}
