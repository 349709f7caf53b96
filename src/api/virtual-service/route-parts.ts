/** Checks of the parts that routes of every protocol share. */
import type { Findings, Path } from "../findings.ts";
import { checkHost, checkNotNegative, checkPort, checkRegex, isDnsLabel, isDnsName } from "../rules.ts";
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

/**
 * Checks the names of gateways: "mesh", "namespace/name", or in the old style "name" and "name.namespace.svc.domain".
 * Istio stops at the first name without a namespace (validateGatewayNames); what is wrong behind it is a warning here.
 */
export function checkGateways(gateways: readonly string[], path: Path, findings: Findings): void {
  const firstPlain = gateways.findIndex((gateway) => !gateway.includes("/"));
  for (const [index, gateway] of gateways.entries()) {
    const at = [...path, index];
    const slash = gateway.indexOf("/");
    const isValid =
      slash < 0 ? isDnsName(gateway) : isDnsLabel(gateway.slice(0, slash)) && isDnsLabel(gateway.slice(slash + 1));
    if (!isValid) {
      const level = firstPlain >= 0 && index > firstPlain ? "warning" : "error";
      findings[level](at, `"${gateway}" is not a gateway as name or namespace/name`, "gateway");
    } else if (slash < 0 && gateway.includes(".")) {
      const [name, namespace] = gateway.split(".");
      findings.warning(at, `"${gateway}" is the old form, write "${namespace}/${name}"`, "deprecated");
    }
  }
}

/** What may be left empty: a match asks for presence where `mayBeEmpty`, a prefix is everything where `anyPrefix`. */
export interface StringMatchContext {
  readonly path: Path;
  readonly mayBeEmpty: boolean;
  readonly anyPrefix?: boolean;
}

/** Checks a comparison of text: at most one way, no empty prefix or expression, a valid expression. */
export function checkStringMatch(match: StringMatch, at: StringMatchContext, findings: Findings): void {
  const given = (["exact", "prefix", "regex"] as const).filter((way) => match[way] !== undefined);
  if (given.length > 1) findings.error(at.path, `only one of ${given.join(", ")} may be set`, "one-of");
  if (given.length === 0 && !at.mayBeEmpty) {
    findings.warning(at.path, "matches everything: one of exact, prefix, regex is missing", "no-effect");
  }
  if (match.prefix === "" && at.anyPrefix !== true) {
    findings.error([...at.path, "prefix"], "must not be empty", "required");
  }
  if (match.regex === "") findings.error([...at.path, "regex"], "must not be empty", "required");
  else if (match.regex !== undefined) checkRegex(match.regex, [...at.path, "regex"], findings);
}
