import { createFindings, type Finding } from "../findings.ts";
import { checkPolicySelector } from "../policy-attachment.ts";
import { checkPort } from "../rules.ts";
import type { PeerAuthenticationSpec } from "./schema.ts";

/** Checks a PeerAuthentication beyond its schema, as istiod's webhook does (pkg/config/validation). */
export function validatePeerAuthentication(spec: PeerAuthenticationSpec): readonly Finding[] {
  const findings = createFindings();
  checkPolicySelector(spec.selector, findings);
  if (spec.portLevelMtls === undefined) return findings.all;
  const at = ["spec", "portLevelMtls"];
  const ports = Object.keys(spec.portLevelMtls);
  const hasLabels = Object.keys(spec.selector?.matchLabels ?? {}).length > 0;
  if (ports.length === 0) findings.error(at, "must name at least one port", "required");
  else if (!hasLabels) findings.error(at, "needs a selector", "required");
  // Names are numbers as JSON writes them: no zero in front.
  for (const port of ports)
    checkPort(/^[1-9][0-9]{0,4}$/.test(port) ? Number(port) : undefined, [...at, port], findings);
  return findings.all;
}
