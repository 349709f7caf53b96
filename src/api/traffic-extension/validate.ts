import { createFindings, type Finding } from "../findings.ts";
import { checkAttachment } from "../policy-attachment.ts";
import { checkExactlyOne } from "../rules.ts";
import { checkLength, checkModule, checkTrafficMatch } from "../wasm-plugin/check-module.ts";
import type { TrafficExtensionSpec } from "./schema.ts";

/** Longest script, in bytes. */
const maxScript = 65_536;

/** Checks a TrafficExtension beyond its schema, as istiod's webhook does (pkg/config/validation). */
export function validateTrafficExtension(spec: TrafficExtensionSpec): readonly Finding[] {
  const findings = createFindings();
  const { wasm, lua, match = [] } = spec;
  checkExactlyOne({ wasm, lua }, "needs one", { path: ["spec"], findings });
  checkAttachment(spec, findings);
  if (wasm !== undefined) checkModule(wasm, ["spec", "wasm"], findings);
  if (lua !== undefined) {
    const path = ["spec", "lua", "inlineCode"];
    if (lua.inlineCode === "") findings.error(path, "is required", "required");
    checkLength(lua.inlineCode, { path, max: maxScript }, findings);
  }
  checkTrafficMatch(match, ["spec", "match"], findings);
  return findings.all;
}
