/** Checks of modules of WebAssembly, as istiod's webhook does them (pkg/config/validation). */
import type { Findings, Path } from "../findings.ts";
import { checkPort } from "../rules.ts";
import { parseModuleScheme } from "./module-url.ts";
import type { TrafficMatch, WasmModule } from "./schema.ts";

const schemes: readonly string[] = ["", "file", "http", "https", "oci"];

export function checkModule(module: WasmModule, path: Path, findings: Findings): void {
  checkUrl(module.url, [...path, "url"], findings);
  if ((module.sha256 ?? "") !== "" && !/^[a-f0-9]{64}$/.test(module.sha256 ?? "")) {
    findings.error([...path, "sha256"], "must be 64 digits, a to f in small letters", "checksum");
  }
  checkLength(module.imagePullSecret, { path: [...path, "imagePullSecret"], max: 253 }, findings);
  checkLength(module.pluginName, { path: [...path, "pluginName"], max: 256 }, findings);
  const seen = new Set<string>();
  for (const [index, { name = "", value = "", valueFrom }] of (module.vmConfig?.env ?? []).entries()) {
    const at = [...path, "vmConfig", "env", index];
    if (name === "") findings.error([...at, "name"], "is required", "required");
    else if (seen.has(name))
      findings.error([...at, "name"], `variable "${name.slice(0, 100)}" is given twice`, "duplicate");
    checkLength(name, { path: [...at, "name"], max: 256 }, findings);
    if (valueFrom === "HOST" && value !== "")
      findings.error([...at, "value"], "is for valueFrom INLINE only", "one-of");
    seen.add(name);
  }
}

/** Checks that text has not more bytes than it may. */
export function checkLength(
  text: string | undefined,
  at: { readonly path: Path; readonly max: number },
  findings: Findings,
): void {
  if (Buffer.byteLength(text ?? "") > at.max) {
    findings.error(at.path, `must not be longer than ${at.max} bytes`, "too-long");
  }
}

/** Checks the ports of `match`. */
export function checkTrafficMatch(match: TrafficMatch, path: Path, findings: Findings): void {
  for (const [index, { ports = [] }] of match.entries()) {
    for (const [at, port] of ports.entries()) {
      checkPort(port.number, [...path, index, "ports", at, "number"], findings);
    }
  }
}

function checkUrl(url: string, path: Path, findings: Findings): void {
  if (url === "") {
    findings.error(path, "is required", "required");
    return;
  }
  const scheme = parseModuleScheme(url);
  if (scheme === undefined) findings.error(path, `"${url.slice(0, 200)}" is not a URL`, "url");
  else if (!schemes.includes(scheme)) {
    findings.error(path, `must begin with oci://, http://, https:// or file://, not with ${scheme}:`, "url");
  }
}
