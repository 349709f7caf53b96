import type { RBAC } from "@meltemi/protos/envoy/extensions/filters/network/rbac/v3";
import { ConfigError, within } from "../lib/config-error.ts";
import type { DownstreamConnection } from "../listeners/connection.ts";
import { compileRbac, type RbacEngine } from "../rbac/engine.ts";
import type { NetworkFilterFactory } from "./types.ts";

const ownName = "envoy.filters.network.rbac";

/**
 * Admits connections by access rules. Envoy asks when the first byte comes; here it is asked before, so that a client
 * that is not let in is told so even where the server speaks first.
 */
export const rbacFactory: NetworkFilterFactory<RBAC> = {
  name: ownName,
  type: "envoy.extensions.filters.network.rbac.v3.RBAC",
  compile(config, env) {
    for (const field of ["matcher", "shadow_matcher"] as const) {
      if (config[field] !== undefined) throw new ConfigError(field, "matcher trees are not supported: use rules");
    }
    if (config.enforcement_type === "CONTINUOUS") {
      throw new ConfigError("enforcement_type", "CONTINUOUS is not supported");
    }
    const { rules, shadow_rules: shadowRules, stat_prefix: prefix = "" } = config;
    if (prefix === "") throw new ConfigError("stat_prefix", "must not be empty");
    const enforced = rules && within("rules", () => compileRbac(rules));
    const shadow = shadowRules && within("shadow_rules", () => compileRbac(shadowRules));
    const shadowPrefix = config.shadow_rules_stat_prefix ?? "";
    const stats = env.stats.scope(`${prefix.replace(/\.$/, "")}.rbac`);
    // Envoy puts a dot between the prefix and the name, whatever the prefix ends with.
    const shadowStats = shadowPrefix === "" ? stats : stats.scope(shadowPrefix.replace(/\.$/, ""));
    const counters = {
      allowed: stats.counter("allowed"),
      denied: stats.counter("denied"),
      shadowAllowed: shadowStats.counter("shadow_allowed"),
      shadowDenied: shadowStats.counter("shadow_denied"),
    };
    return {
      admit(connection) {
        if (shadow !== undefined) {
          const isAllowed = noteShadow(shadow, shadowPrefix, connection);
          (isAllowed ? counters.shadowAllowed : counters.shadowDenied).inc();
        }
        if (enforced === undefined) return true;
        const { allowed, policy } = enforced({ connection, info: connection.info });
        (allowed ? counters.allowed : counters.denied).inc();
        if (allowed) return true;
        connection.close("reset", `rbac_access_denied_matched_policy[${(policy ?? "none").replaceAll(/\s/g, "_")}]`);
        return false;
      },
    };
  },
};

/** What would be decided goes into the metadata, for logs. */
function noteShadow(engine: RbacEngine, prefix: string, connection: DownstreamConnection): boolean {
  const { allowed, policy } = engine({ connection, info: connection.info });
  const { dynamicMetadata } = connection.info;
  dynamicMetadata.set(ownName, {
    ...dynamicMetadata.get(ownName),
    ...(policy === undefined ? {} : { [`${prefix}shadow_effective_policy_id`]: policy }),
    [`${prefix}shadow_engine_result`]: allowed ? "allowed" : "denied",
  });
  return allowed;
}
