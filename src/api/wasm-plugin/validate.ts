import { createFindings, type Finding } from "../findings.ts";
import { checkAttachment } from "../policy-attachment.ts";
import { checkModule, checkTrafficMatch } from "./check-module.ts";
import type { WasmPluginSpec } from "./schema.ts";

/** Checks a WasmPlugin beyond its schema, as istiod's webhook does (pkg/config/validation). */
export function validateWasmPlugin(spec: WasmPluginSpec): readonly Finding[] {
  const findings = createFindings();
  checkAttachment(spec, findings);
  checkModule(spec, ["spec"], findings);
  checkTrafficMatch(spec.match ?? [], ["spec", "match"], findings);
  return findings.all;
}
