import { createFindings, type Finding, type Findings, type Path } from "../findings.ts";
import { checkAttachment } from "../policy-attachment.ts";
import { checkWireDuration } from "../wire-duration.ts";
import { findAddressFault } from "./check-key-address.ts";
import { checkKeySet } from "./check-key-set.ts";
import type { JwtRule, RequestAuthenticationSpec } from "./schema.ts";

const headerName = /^[-A-Za-z0-9]+$/;

/** Checks a RequestAuthentication beyond its schema, as istiod's webhook does (pkg/config/validation). */
export function validateRequestAuthentication(spec: RequestAuthenticationSpec): readonly Finding[] {
  const findings = createFindings();
  checkAttachment(spec, findings);
  for (const [index, rule] of (spec.jwtRules ?? []).entries()) checkRule(rule, ["spec", "jwtRules", index], findings);
  return findings.all;
}

function checkRule(rule: JwtRule, path: Path, findings: Findings): void {
  const { issuer = "", jwksUri = "", jwks = "" } = rule;
  if (issuer === "" && jwksUri === "") findings.error(path, "one of issuer, jwksUri is required", "required");
  const fault = jwksUri === "" ? undefined : findAddressFault(jwksUri);
  if (fault !== undefined) findings.error([...path, "jwksUri"], `"${jwksUri}" ${fault}`, "address");
  if (jwks !== "") {
    const report = checkKeySet(jwks);
    if (report.fault !== undefined) findings.error([...path, "jwks"], `is not a key set: ${report.fault}`, "key-set");
    for (const key of report.privateKeys) {
      findings.warning([...path, "jwks"], `key ${key} is private: proxies need public keys only`, "private-key");
    }
  }
  for (const field of ["audiences", "fromParams", "fromCookies"] as const) {
    for (const [index, value] of (rule[field] ?? []).entries()) {
      if (value === "") findings.error([...path, field, index], "must not be empty", "required");
    }
  }
  for (const [index, { header }] of (rule.outputClaimToHeaders ?? []).entries()) {
    if (!headerName.test(header)) {
      const text = `"${header}" is not a valid header name: letters, digits and "-"`;
      findings.error([...path, "outputClaimToHeaders", index, "header"], text, "header");
    }
  }
  checkWireDuration(rule.timeout, [...path, "timeout"], findings);
}
