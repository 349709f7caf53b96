import type { Findings, Path } from "./findings.ts";
import { isDnsLabel } from "./rules.ts";

export interface ExportToContext {
  readonly path: Path;
  /** Namespace of the object, which "." stands for; "" where it is not known. */
  readonly namespace: string;
  /** Whether "~" (nobody) is allowed: for services only. */
  readonly mayBeNobody: boolean;
  readonly findings: Findings;
}

/**
 * Checks exportTo: namespaces, "." for the own one, "*" for all and, for services, "~" for nobody. The last two stand
 * alone, and nothing stands twice, not even as "." and by name (validateExportTo of Istio's pkg/config/validation).
 */
export function checkExportTo(exportTo: readonly string[] | undefined, context: ExportToContext): void {
  const { path, namespace, mayBeNobody, findings } = context;
  const seen = new Set<string>();
  for (const [index, value] of (exportTo ?? []).entries()) {
    const at = [...path, index];
    const meaning = value === "." && namespace !== "" ? namespace : value;
    if (seen.has(meaning)) {
      const again = meaning === value ? "is given twice" : `is namespace "${namespace}", which is given already`;
      findings.error(at, `"${value}" ${again}`, "duplicate");
    }
    seen.add(meaning);
    const problem = describeProblem(value, mayBeNobody);
    if (problem !== undefined) findings.error(at, problem, "export-to");
  }
  for (const alone of ["*", "~"]) {
    if (seen.has(alone) && seen.size > 1) findings.error(path, `"${alone}" must stand alone`, "export-to");
  }
}

function describeProblem(value: string, mayBeNobody: boolean): string | undefined {
  if (value === "." || value === "*" || isDnsLabel(value)) return undefined;
  if (value === "~") return mayBeNobody ? undefined : '"~" is for services only';
  return `"${value}" is not a namespace, ${mayBeNobody ? '".", "*" or "~"' : '"." or "*"'}`;
}
