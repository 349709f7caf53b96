/** Conditions of authorization rules: which attributes there are and which values they take. */
import type { Findings, Path } from "../findings.ts";
import { findNearestWord } from "../nearest-word.ts";
import { checkAddresses, checkPorts, checkServiceAccounts, checkTexts, checkWildcards } from "./check-values.ts";
import type { AuthorizationCondition } from "./schema.ts";

type ValueCheck = typeof checkTexts;

/** Attributes by name, with the check of their values; each of these refuses empty values too. */
const attributes: { readonly [key: string]: ValueCheck } = {
  "source.ip": checkAddresses,
  "remote.ip": checkAddresses,
  "source.namespace": checkTexts,
  "source.serviceAccount": checkServiceAccounts,
  "source.principal": checkTexts,
  "source.trustDomain": checkWildcards,
  "request.auth.principal": checkTexts,
  "request.auth.audiences": checkTexts,
  "request.auth.presenter": checkTexts,
  "destination.ip": checkAddresses,
  "destination.port": checkPorts,
  "connection.sni": checkTexts,
};

/** Starts of attributes that name a part of themselves in brackets. */
const bracketed = ["request.headers", "request.auth.claims", "experimental.envoy.filters."];

/** Attributes of the first version of the API, with what replaces them. */
const replaced: { readonly [key: string]: string } = {
  "destination.namespace": "the namespace of the policy",
  "destination.name": "the selector of the policy",
  "destination.user": "the selector of the policy",
};

/** Checks one condition, as istiod's webhook does (pkg/config/security: ValidateAttribute). */
export function checkCondition(condition: AuthorizationCondition, path: Path, findings: Findings): void {
  const { key, values = [], notValues = [] } = condition;
  if (values.length === 0 && notValues.length === 0) {
    findings.error(path, "one of values, notValues is required", "required");
    return;
  }
  const check = checkKey(key, [...path, "key"], findings);
  check(condition.values, [...path, "values"], findings);
  check(condition.notValues, [...path, "notValues"], findings);
}

function checkKey(key: string, path: Path, findings: Findings): ValueCheck {
  const known = Object.hasOwn(attributes, key) ? attributes[key] : undefined;
  if (known !== undefined) return known;
  const start = bracketed.find((prefix) => key.startsWith(prefix));
  if (start !== undefined) {
    const open = key.indexOf("[");
    if (open < 0 || !key.endsWith("]") || open >= key.length - 2) {
      findings.error(path, `"${key}" must name a part in brackets, such as "${start}[name]"`, "attribute");
    }
    return checkTexts;
  }
  const instead = key.startsWith("destination.labels") ? "the selector of the policy" : findReplacement(key);
  if (instead !== undefined) {
    findings.error(path, `"${key}" is no longer an attribute: use ${instead}`, "attribute");
    return checkTexts;
  }
  const nearest = findNearestWord(key, [...Object.keys(attributes), ...bracketed]);
  const hint = nearest === undefined ? "" : `, did you mean "${nearest}"?`;
  findings.error(path, `"${key}" is not an attribute of requests${hint}`, "attribute");
  return checkTexts;
}

function findReplacement(key: string): string | undefined {
  return Object.hasOwn(replaced, key) ? replaced[key] : undefined;
}
