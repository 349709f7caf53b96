/** Rules that several kinds share: hosts, ports, labels, durations, expressions. After Istio's pkg/config/validation. */
import { isIP } from "node:net";
import { RE2JS } from "re2js";
import { parseDuration } from "../lib/duration.ts";
import type { Findings, Path } from "./findings.ts";

const dnsLabel = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/i;
const labelName = /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;
const labelPrefix = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/i;
const labelText = /^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/;
/** Longest expression that Istio takes. */
const maxRegexLength = 1024;

export const isDnsLabel = (text: string): boolean => dnsLabel.test(text);

/**
 * True for a DNS name without wildcard: labels of 63 characters at most, 255 in all, a closing dot is allowed. The last
 * label must not be a number, so that no IP address is a name (ValidateFQDN of pkg/config/validation/agent).
 */
export function isDnsName(text: string): boolean {
  return text.length > 0 && text.length <= 255 && areDnsLabels(text);
}

/**
 * True for a DNS name whose first label may be "*" or start with "*-" or "*"; also for "*" alone. A name of one label
 * may be a number here (ValidateWildcardDomain of pkg/config/validation/agent).
 */
export function isWildcardDnsName(text: string): boolean {
  if (text.length === 0 || text.length > 255) return false;
  const dot = text.indexOf(".");
  const first = dot < 0 ? text : text.slice(0, dot);
  const isFirstValid = first.length <= 63 && (first === "*" || isDnsLabel(first.replace(/^\*-?/, "")));
  return isFirstValid && (dot < 0 || areDnsLabels(text.slice(dot + 1)));
}

/** True for labels between dots of which the last may be empty but not a number. */
function areDnsLabels(text: string): boolean {
  const labels = text.split(".");
  const last = labels.at(-1) ?? "";
  if (/^[0-9]+$/.test(last)) return false;
  return labels.every((label, index) => isDnsLabel(label) || (label === "" && index === labels.length - 1));
}

export const isAddress = (text: string): boolean => isIP(text) !== 0;

/** True for an IP address or a subnet such as 10.0.0.0/8. */
export function isAddressOrSubnet(text: string): boolean {
  const [address = "", bits, more] = text.split("/");
  const family = isIP(address);
  if (family === 0 || more !== undefined) return false;
  if (bits === undefined) return true;
  return !address.includes("%") && /^(0|[1-9][0-9]{0,2})$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128);
}

export function checkHost(host: string, path: Path, findings: Findings): boolean {
  if (isWildcardDnsName(host)) return true;
  findings.error(path, `"${host}" is not a valid host name`, "host");
  return false;
}

export function checkPort(port: number | undefined, path: Path, findings: Findings): void {
  if (port === undefined || port < 1 || port > 65535) findings.error(path, "must be a port from 1 to 65535", "port");
}

/** Checks a duration that must be at least `minMs` milliseconds; absent is fine. */
export function checkDuration(
  text: string | undefined,
  bound: { readonly path: Path; readonly minMs: number },
  findings: Findings,
): void {
  if (text === undefined) return;
  const ms = parseDuration(text);
  if (ms === undefined) findings.error(bound.path, 'must be a duration such as "5s"', "duration");
  else if (ms < 0) findings.error(bound.path, "must not be negative", "duration");
  else if (ms < bound.minMs) findings.error(bound.path, `must be at least ${bound.minMs}ms`, "duration");
}

export function checkPercent(value: number | undefined, path: Path, findings: Findings): void {
  if (value !== undefined && (value < 0 || value > 100)) findings.error(path, "must be from 0 to 100", "out-of-range");
}

export function checkNotNegative(value: number | undefined, path: Path, findings: Findings): void {
  if (value !== undefined && value < 0) findings.error(path, "must not be negative", "out-of-range");
}

/** Warns of a name of TLS handshakes that proxies cannot match, although Istio takes it. */
export function checkServerName(name: string, path: Path, findings: Findings): void {
  if (name.startsWith("*") && name !== "*" && !name.startsWith("*.")) {
    findings.warning(
      path,
      `"${name}" gets no connections: in TLS a wildcard must be a whole label, as in "*.example.com"`,
      "no-effect",
    );
  }
}

/** Checks that Envoy's engine (RE2) can compile the expression: no look-around, no back references. */
export function checkRegex(pattern: string, path: Path, findings: Findings): void {
  if (pattern.length > maxRegexLength) {
    findings.error(path, `the expression is longer than ${maxRegexLength} characters`, "regex");
    return;
  }
  try {
    RE2JS.compile(pattern);
  } catch (cause: unknown) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    findings.error(path, `is not a valid RE2 expression: ${reason}`, "regex");
  }
}

/**
 * Checks names and values of labels: an optional DNS prefix and a name of 63 characters. Values that are too long for
 * Kubernetes are a warning only, as Istio takes them (pkg/config/labels): no workload can have them.
 */
export function checkLabels(
  labels: { readonly [name: string]: string } | undefined,
  path: Path,
  findings: Findings,
): void {
  for (const [name, value] of Object.entries(labels ?? {})) {
    if (!isLabelKey(name)) findings.error([...path, name], `"${name}" is not a valid label name`, "label");
    if (value !== "" && !labelText.test(value))
      findings.error([...path, name], `"${value.slice(0, 100)}" is not a valid label value`, "label");
    else if (value.length > 63) {
      findings.warning([...path, name], "is longer than 63 characters: no workload has such a label", "no-effect");
    }
  }
}

function isLabelKey(key: string): boolean {
  const [first = "", second, more] = key.split("/");
  if (more !== undefined) return false;
  if (second === undefined) return labelName.test(first);
  return first.length <= 253 && labelPrefix.test(first) && labelName.test(second);
}

/** Checks a list of which no value may stand twice. */
export function checkUnique(
  values: readonly string[],
  what: string,
  at: { readonly path: (index: number) => Path; readonly findings: Findings },
): void {
  const seen = new Set<string>();
  for (const [index, value] of values.entries()) {
    if (seen.has(value)) at.findings.error(at.path(index), `${what} "${value}" is given twice`, "duplicate");
    seen.add(value);
  }
}

/** Reports where more than one of the named fields is set, or none while one is needed. Absent means undefined. */
export function checkExactlyOne(
  fields: { readonly [name: string]: unknown },
  needed: "needs one" | "may be none",
  at: { readonly path: Path; readonly findings: Findings },
): void {
  const given = Object.keys(fields).filter((name) => fields[name] !== undefined);
  if (given.length > 1) at.findings.error(at.path, `only one of ${given.join(", ")} may be set`, "one-of");
  if (given.length === 0 && needed === "needs one") {
    at.findings.error(at.path, `one of ${Object.keys(fields).join(", ")} is required`, "one-of");
  }
}
