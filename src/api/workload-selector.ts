import type { Findings, Path } from "./findings.ts";

/**
 * Checks labels that select workloads (ValidateAlphaWorkloadSelector and validateWorkloadSelector of Istio's
 * pkg/config/validation). Labels that no workload can have are no error: they select nothing. `path` leads to the
 * selector, `field` is the name of its labels.
 */
export function checkSelector(
  labels: { readonly [name: string]: string } | undefined,
  at: { readonly path: Path; readonly field: string },
  findings: Findings,
): void {
  const path = [...at.path, at.field];
  const all = Object.entries(labels ?? {});
  for (const [name, value] of all) {
    if (name === "") findings.error(path, "the name of a label must not be empty", "label");
    if (name.includes("*") || value.includes("*")) {
      findings.error([...path, name], '"*" has no meaning here: labels are compared as they are', "label");
    }
  }
  if (all.length === 0) {
    findings.warning(at.path, "has no labels, so that it selects every workload of the namespace", "empty-selector");
  }
}
