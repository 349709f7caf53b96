import { createFindings, type Finding } from "../findings.ts";
import { checkPolicySelector } from "../policy-attachment.ts";
import { checkNotNegative } from "../rules.ts";
import type { ProxyConfigSpec } from "./schema.ts";

/** Checks a ProxyConfig beyond its schema, as istiod's webhook does (pkg/config/validation). */
export function validateProxyConfig(spec: ProxyConfigSpec): readonly Finding[] {
  const findings = createFindings();
  checkPolicySelector(spec.selector, findings);
  checkNotNegative(spec.concurrency, ["spec", "concurrency"], findings);
  return findings.all;
}
