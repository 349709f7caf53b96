import { createFindings, type Finding } from "../findings.ts";
import { checkLabels, checkPort } from "../rules.ts";
import type { PeerAuthenticationSpec } from "./schema.ts";

/** Checks a PeerAuthentication beyond its schema, as istiod's webhook does (pkg/config/validation). */
export function validatePeerAuthentication(spec: PeerAuthenticationSpec): readonly Finding[] {
  const findings = createFindings();
  const labels = spec.selector?.matchLabels ?? {};
  const path = ["spec", "selector", "matchLabels"];
  checkLabels(labels, path, findings);
  if (spec.portLevelMtls === undefined) return findings.all;
  const at = ["spec", "portLevelMtls"];
  const ports = Object.keys(spec.portLevelMtls);
  if (ports.length === 0) findings.error(at, "must name at least one port", "required");
  else if (Object.keys(labels).length === 0) findings.error(at, "needs a selector", "required");
  for (const port of ports) checkPort(/^[0-9]{1,5}$/.test(port) ? Number(port) : undefined, [...at, port], findings);
  return findings.all;
}
