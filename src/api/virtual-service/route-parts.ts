/** Checks of the parts that routes of every protocol share. */
import type { Findings, Path } from "../findings.ts";
import { checkHost, checkNotNegative, checkPort, checkRegex, isDnsLabel } from "../rules.ts";
import type { Destination, StringMatch } from "./schema.ts";

/** Checks the host, the subset and the port of a destination. */
export function checkDestination(destination: Destination, path: Path, findings: Findings): void {
  if (destination.host === "*") findings.error([...path, "host"], 'must be one service, not "*"', "host");
  else checkHost(destination.host, [...path, "host"], findings);
  const { subset } = destination;
  if (subset !== undefined && subset !== "" && !isDnsLabel(subset)) {
    findings.error([...path, "subset"], `"${subset}" is not a valid subset name`, "subset");
  }
  if (destination.port !== undefined) checkPort(destination.port.number, [...path, "port", "number"], findings);
}

/** Checks weights: none negative; among several destinations at least one above zero. */
export function checkWeights(routes: readonly { readonly weight?: number }[], path: Path, findings: Findings): void {
  for (const [index, route] of routes.entries()) checkNotNegative(route.weight, [...path, index, "weight"], findings);
  const sum = routes.reduce((total, route) => total + (route.weight ?? 0), 0);
  if (routes.length > 1 && sum === 0) findings.error(path, "the weights must not add up to 0", "weight");
  if (sum > 4294967295) findings.error(path, "the weights add up to more than 4294967295", "weight");
}

/** Checks the names of gateways: "mesh", "name" or "namespace/name". */
export function checkGateways(gateways: readonly string[], path: Path, findings: Findings): void {
  for (const [index, gateway] of gateways.entries()) {
    const parts = gateway.split("/");
    const valid = parts.length <= 2 && parts.every((part) => part.length <= 253 && part.split(".").every(isDnsLabel));
    if (!valid) findings.error([...path, index], `"${gateway}" is not a gateway as name or namespace/name`, "gateway");
  }
}

/** Checks a comparison of text: at most one way, a valid expression. An empty one asks for presence where `mayBeEmpty`. */
export function checkStringMatch(
  match: StringMatch,
  at: { readonly path: Path; readonly mayBeEmpty: boolean },
  findings: Findings,
): void {
  const given = (["exact", "prefix", "regex"] as const).filter((way) => match[way] !== undefined);
  if (given.length > 1) findings.error(at.path, `only one of ${given.join(", ")} may be set`, "one-of");
  if (given.length === 0 && !at.mayBeEmpty)
    findings.error(at.path, "one of exact, prefix, regex is required", "one-of");
  if (match.regex !== undefined) checkRegex(match.regex, [...at.path, "regex"], findings);
}
