/**
 * Role based access control: policies of permissions (what is asked for) and principals (who asks), as of
 * envoy.config.rbac.v3. The network filter and the HTTP filter share it.
 */
import type { Policy, RBAC } from "@meltemi/protos/envoy/config/rbac/v3";
import { ConfigError, compileAll, within } from "../lib/config-error.ts";
import { compilePermission } from "./permission.ts";
import { compilePrincipal } from "./principal.ts";
import type { Rule } from "./rule.ts";
import type { RbacSubject } from "./subject.ts";

export interface RbacDecision {
  readonly allowed: boolean;
  /** The first policy by name that matches; undefined where none does. */
  readonly policy: string | undefined;
}

export type RbacEngine = (subject: RbacSubject) => RbacDecision;

/** Compiles rules: no policy at all matches nothing, so that ALLOW then denies everything. Throws ConfigError. */
export function compileRbac(rules: RBAC): RbacEngine {
  refuseAuditLoggers(rules);
  const policies = Object.entries(rules.policies ?? {})
    .sort(([left], [right]) => Buffer.compare(Buffer.from(left), Buffer.from(right)))
    .map(([name, policy]) => ({ name, matches: within(`policies["${name}"]`, () => compilePolicy(policy)) }));
  const find = (subject: RbacSubject): string | undefined => policies.find(({ matches }) => matches(subject))?.name;
  switch (rules.action ?? "ALLOW") {
    case "ALLOW":
      return (subject) => {
        const policy = find(subject);
        return { allowed: policy !== undefined, policy };
      };
    case "DENY":
      return (subject) => {
        const policy = find(subject);
        return { allowed: policy === undefined, policy };
      };
    case "LOG":
      return (subject) => {
        const policy = find(subject);
        hintAccessLog(subject, policy !== undefined);
        return { allowed: true, policy };
      };
    default:
      throw new ConfigError("action", `unknown action ${String(rules.action)}`);
  }
}

function compilePolicy(wire: Policy): Rule {
  for (const field of ["condition", "checked_condition"] as const) {
    if (wire[field] !== undefined) throw new ConfigError(field, "conditions in CEL are not supported");
  }
  const permissions = compileAll("permissions", wire.permissions, compilePermission);
  const principals = compileAll("principals", wire.principals, compilePrincipal);
  if (permissions.length === 0) throw new ConfigError("permissions", "must not be empty");
  if (principals.length === 0) throw new ConfigError("principals", "must not be empty");
  return (subject) => permissions.some((rule) => rule(subject)) && principals.some((rule) => rule(subject));
}

/** What access logs can ask for, under Envoy's names. */
function hintAccessLog({ info: { dynamicMetadata } }: RbacSubject, isMatched: boolean): void {
  const namespace = "envoy.common";
  dynamicMetadata.set(namespace, { ...dynamicMetadata.get(namespace), access_log_hint: isMatched });
}

function refuseAuditLoggers({ audit_logging_options: options }: RBAC): void {
  for (const [index, { audit_logger: logger, is_optional: isOptional }] of (options?.logger_configs ?? []).entries()) {
    if (isOptional === true) continue;
    throw new ConfigError(
      `audit_logging_options.logger_configs[${index}]`,
      `the audit logger ${logger?.name ?? ""} is not supported`,
    );
  }
}
