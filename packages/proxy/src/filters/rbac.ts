/** Role based access control of requests. */
import type { RBAC, RBACPerRoute } from "@meltemi/protos/envoy/extensions/filters/http/rbac/v3";
import type { HttpFilterEnv } from "../config/env.ts";
import { type Exchange, type HttpFilterFactory, LocalReplyError } from "../http/exchange.ts";
import { ConfigError, within } from "../lib/config-error.ts";
import type { Stats } from "../lib/stats.ts";
import { compileRbac, type RbacEngine } from "../rbac/engine.ts";

interface CompiledRules {
  readonly enforced: RbacEngine | undefined;
  readonly shadow: RbacEngine | undefined;
  readonly prefix: string;
  readonly shadowPrefix: string;
  readonly countsPolicies: boolean;
}

const metadataName = "envoy.filters.http.rbac";

export const rbacFactory: HttpFilterFactory<RBAC, CompiledRules> = {
  name: metadataName,
  type: "envoy.extensions.filters.http.rbac.v3.RBAC",
  routeTypes: ["envoy.extensions.filters.http.rbac.v3.RBACPerRoute"],
  compileRoute: (config) => within("rbac", () => compileRules((config as RBACPerRoute).rbac ?? {})),
  compile(config, env) {
    const own = compileRules(config);
    const count = createCounting(env, own);
    return {
      handle(exchange, next) {
        const rules = exchange.perRoute(rbacFactory) ?? own;
        if (rules.shadow) runShadow(exchange, rules, count);
        if (rules.enforced) {
          const denial = enforce(exchange, rules.enforced, { rules, count });
          if (denial) return Promise.reject(denial);
        }
        return next(exchange);
      },
    };
  },
};

/** Throws ConfigError. */
function compileRules(wire: RBAC): CompiledRules {
  for (const field of ["matcher", "shadow_matcher"] as const) {
    if (wire[field]) throw new ConfigError(field, "is not supported; rules are");
  }
  const { rules, shadow_rules: shadow } = wire;
  return {
    enforced: rules && within("rules", () => compileRbac(rules)),
    shadow: shadow && within("shadow_rules", () => compileRbac(shadow)),
    prefix: wire.rules_stat_prefix ?? "",
    shadowPrefix: wire.shadow_rules_stat_prefix ?? "",
    countsPolicies: wire.track_per_rule_stats === true,
  };
}

type Outcome = "allowed" | "denied" | "shadow_allowed" | "shadow_denied";
type CountOutcome = (outcome: Outcome, policy: string | undefined) => void;

function createCounting(
  { httpStats }: HttpFilterEnv,
  { prefix, shadowPrefix, countsPolicies }: CompiledRules,
): CountOutcome {
  const stats = httpStats.scope("rbac");
  const below = (name: string): Stats => (name === "" ? stats : stats.scope(name));
  const enforced = below(prefix);
  const shadow = below(shadowPrefix);
  const scopes: Readonly<Record<Outcome, Stats>> = {
    allowed: enforced,
    denied: enforced,
    shadow_allowed: shadow,
    shadow_denied: shadow,
  };
  const counters = {
    allowed: enforced.counter("allowed"),
    denied: enforced.counter("denied"),
    shadow_allowed: shadow.counter("shadow_allowed"),
    shadow_denied: shadow.counter("shadow_denied"),
  };
  return (outcome, policy) => {
    counters[outcome].inc();
    if (countsPolicies && policy !== undefined) scopes[outcome].counter(`policy.${policy}.${outcome}`).inc();
  };
}

function runShadow(exchange: Exchange, { shadow, shadowPrefix }: CompiledRules, count: CountOutcome): void {
  if (!shadow) return;
  const { allowed, policy } = shadow(subjectOf(exchange));
  count(allowed ? "shadow_allowed" : "shadow_denied", policy);
  addMetadata(exchange, {
    ...(policy === undefined ? {} : { [`${shadowPrefix}shadow_effective_policy_id`]: policy }),
    [`${shadowPrefix}shadow_engine_result`]: allowed ? "allowed" : "denied",
  });
}

function enforce(
  exchange: Exchange,
  engine: RbacEngine,
  { rules: { prefix }, count }: { readonly rules: CompiledRules; readonly count: CountOutcome },
): LocalReplyError | undefined {
  const { allowed, policy } = engine(subjectOf(exchange));
  count(allowed ? "allowed" : "denied", policy);
  addMetadata(exchange, {
    ...(policy === undefined ? {} : { [`${prefix}enforced_effective_policy_id`]: policy }),
    [`${prefix}enforced_engine_result`]: allowed ? "allowed" : "denied",
  });
  if (allowed) return undefined;
  const details = `rbac_access_denied_matched_policy[${(policy ?? "none").replaceAll(/\s/g, "_")}]`;
  return new LocalReplyError({ status: 403, body: "RBAC: access denied", details });
}

function subjectOf({ connection, info, request }: Exchange): Parameters<RbacEngine>[0] {
  return { connection, info, request, remoteIp: info.remoteAddress?.ip };
}

function addMetadata({ info: { dynamicMetadata } }: Exchange, found: Record<string, unknown>): void {
  const before = dynamicMetadata.get(metadataName);
  dynamicMetadata.set(metadataName, before ? { ...before, ...found } : found);
}
