/** Rules for headers in VirtualServices, after Istio's pkg/config/validation (validation.go, header_value_validator.go). */
import type { Findings, Path } from "../findings.ts";
import { isClaimName } from "./claim-name.ts";
import type { HeaderChanges, HttpRewrite } from "./schema.ts";

const token = /^[!#$%&'*+,\-.^_`|~0-9A-Za-z]+$/;
const pseudoHeaders: ReadonlySet<string> = new Set([":method", ":scheme", ":authority", ":path", ":status"]);
// biome-ignore lint/suspicious/noControlCharactersInRegex: what a header must not hold.
const controlCharacters = /[\u0000-\u0008\u000a-\u001f\u007f]/;

const isAuthority = (name: string): boolean => [":authority", "host"].includes(name.toLowerCase());

/** Checks the name of a header to match: a header, one of HTTP/2's own, or a claim of a token. */
export function checkMatchedHeader(name: string, path: Path, findings: Findings): void {
  if (isClaimName(name) || pseudoHeaders.has(name) || token.test(name)) return;
  findings.error(path, `"${name}" is not a valid header name`, "header");
}

/** Checks a name of CORS: a header or "*". */
export function checkCorsHeader(name: string, path: Path, findings: Findings): void {
  if (!token.test(name)) findings.error(path, `"${name}" is not a valid header name`, "header");
}

/** Checks what is set, added and removed, in both directions. Only requests may have another authority. */
export function checkHeaderChanges(changes: HeaderChanges | undefined, path: Path, findings: Findings): void {
  for (const side of ["request", "response"] as const) {
    for (const operation of ["set", "add"] as const) {
      for (const [name, value] of Object.entries(changes?.[side]?.[operation] ?? {})) {
        const at = [...path, side, operation, name];
        if (side === "response" || !isAuthority(name)) checkChangedHeader(name, at, findings);
        checkHeaderValue(value, at, findings);
      }
    }
    for (const [index, name] of (changes?.[side]?.remove ?? []).entries()) {
      checkChangedHeader(name, [...path, side, "remove", index], findings);
    }
  }
}

function checkChangedHeader(name: string, path: Path, findings: Findings): void {
  if (name === "") findings.error(path, "the name must not be empty", "header");
  else if (name.startsWith(":")) findings.error(path, `"${name}" cannot be changed`, "header");
  else if (name.toLowerCase() === "host") findings.error(path, "the host cannot be changed here", "header");
  else if (controlCharacters.test(name)) findings.error(path, "must not hold control characters", "header");
  else if (!token.test(name)) findings.warning(path, `"${name}" is no name that HTTP knows`, "header");
}

/** The authority of a request may be changed in one place: the rewrite, or one header. */
export function checkOneAuthority(
  rewrite: HttpRewrite | undefined,
  headers: HeaderChanges | undefined,
  at: { readonly path: Path; readonly findings: Findings },
): void {
  let current = rewrite?.authority ?? "";
  for (const operation of ["set", "add"] as const) {
    for (const [name, value] of Object.entries(headers?.request?.[operation] ?? {})) {
      if (!isAuthority(name)) continue;
      const path = [...at.path, "headers", "request", operation, name];
      if (current !== "") at.findings.error(path, `the authority is set to "${current}" already`, "one-of");
      current = value;
    }
  }
}

/** Checks that Envoy can read the value: "%COMMAND%" or "%COMMAND(arguments)%", and "%%" for a percent sign. */
export function checkHeaderValue(value: string, path: Path, findings: Findings): void {
  if (controlCharacters.test(value)) findings.error(path, "must not hold control characters", "header-value");
  else if (!isFormat(value)) {
    findings.error(path, 'has a percent sign that begins no command; write "%%" for the sign itself', "header-value");
  }
}

/** Where the reader of a format is: in text, in the name of a command, in its arguments, or behind them. */
type FormatState = "text" | "name" | "arguments" | "free" | "list" | "separator" | "close" | "end" | "error";

function isFormat(value: string): boolean {
  let state: FormatState = "text";
  for (let index = 0; index < value.length; index++) {
    const char = value[index] ?? "";
    const isEscape = (state === "text" && value.startsWith("%%", index)) || (state === "free" && char === "\\");
    if (!isEscape) state = nextState(state, char);
    else if (index + 1 === value.length) return false;
    else index++;
    if (state === "error") return false;
  }
  return state === "text";
}

function nextState(state: FormatState, char: string): FormatState {
  switch (state) {
    case "text":
      return char === "%" ? "name" : "text";
    case "name":
      if (char === "%") return "text";
      return char === "(" ? "arguments" : "name";
    case "arguments":
      if (char === "[") return "list";
      return char === " " ? "arguments" : "free";
    case "free":
      if (char === ")") return "end";
      return char === '"' ? "separator" : "free";
    case "list":
      return oneOf(char, { '"': "free", " ": "list" });
    case "separator":
      return oneOf(char, { ",": "list", "]": "close", " ": "separator" });
    case "close":
      return oneOf(char, { ")": "end", " ": "close" });
    case "end":
      return oneOf(char, { "%": "text", " ": "end" });
    default:
      return "error";
  }
}

const oneOf = (char: string, next: { readonly [char: string]: FormatState }): FormatState => next[char] ?? "error";
