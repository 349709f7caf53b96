import { createFindings, type Finding, type Findings, type Path } from "../findings.ts";
import { checkAttachment } from "../policy-attachment.ts";
import { checkExactlyOne, checkPercent } from "../rules.ts";
import { findExpressionFault } from "./cel-syntax.ts";
import type { AccessLogging, Metrics, TelemetrySpec, Tracing } from "./schema.ts";

/** Checks a Telemetry beyond its schema, as istiod's webhook does (pkg/config/validation). */
export function validateTelemetry(spec: TelemetrySpec): readonly Finding[] {
  const findings = createFindings();
  checkAttachment(spec, findings);
  const { metrics = [], tracing = [], accessLogging = [] } = spec;
  for (const [index, item] of metrics.entries()) checkMetrics(item, ["spec", "metrics", index], findings);
  if (tracing.length > 1) {
    findings.warning(["spec", "tracing"], "has more than one entry: only the first counts", "no-effect");
  }
  for (const [index, item] of tracing.entries()) checkTracing(item, ["spec", "tracing", index], findings);
  for (const [index, item] of accessLogging.entries()) {
    checkAccessLogging(item, ["spec", "accessLogging", index], findings);
  }
  return findings.all;
}

function checkMetrics(metrics: Metrics, path: Path, findings: Findings): void {
  for (const [index, { match, tagOverrides }] of (metrics.overrides ?? []).entries()) {
    const at = [...path, "overrides", index];
    for (const [tag, { operation = "UPSERT", value = "" }] of Object.entries(tagOverrides ?? {})) {
      const field = [...at, "tagOverrides", tag, "value"];
      if (tag === "") {
        findings.warning([...at, "tagOverrides"], "the name of a tag should not be empty", "no-effect");
      }
      if (operation === "UPSERT" && value === "") findings.error(field, "is required for UPSERT", "required");
      if (operation === "REMOVE" && value !== "") findings.error(field, "must not be set for REMOVE", "one-of");
    }
    if (match === undefined) continue;
    const { metric, customMetric } = match;
    checkExactlyOne({ metric, customMetric }, "may be none", { path: [...at, "match"], findings });
    if (customMetric === "") findings.error([...at, "match", "customMetric"], "must not be empty", "required");
  }
}

function checkTracing(tracing: Tracing, path: Path, findings: Findings): void {
  if ((tracing.providers ?? []).length > 1) {
    findings.warning([...path, "providers"], "has more than one entry: only the first counts", "no-effect");
  }
  checkPercent(tracing.randomSamplingPercentage, [...path, "randomSamplingPercentage"], findings);
  for (const [tag, source] of Object.entries(tracing.customTags ?? {})) {
    if (tag === "") findings.error([...path, "customTags"], "the name of a tag must not be empty", "required");
    checkExactlyOne(source, "may be none", { path: [...path, "customTags", tag], findings });
  }
}

function checkAccessLogging({ filter }: AccessLogging, path: Path, findings: Findings): void {
  if (filter === undefined) return;
  const fault = findExpressionFault(filter.expression ?? "");
  if (fault !== undefined) {
    findings.error([...path, "filter", "expression"], `is not a valid CEL expression: ${fault}`, "expression");
  }
}
