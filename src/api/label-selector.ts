import type { Findings, Path } from "./findings.ts";
import type { Labels } from "./object.ts";

/** A label selector of Kubernetes, as metav1.LabelSelector and Istio's mesh configuration write it. */
export interface LabelSelector {
  readonly matchLabels?: Labels;
  readonly matchExpressions?: readonly LabelExpression[];
}

export interface LabelExpression {
  readonly key: string;
  readonly operator: "In" | "NotIn" | "Exists" | "DoesNotExist";
  readonly values?: readonly string[];
}

/** True where all labels and expressions of the selector hold; an empty selector selects everything. */
export function matchesSelector(selector: LabelSelector, labels: Labels): boolean {
  const { matchLabels = {}, matchExpressions = [] } = selector;
  return (
    Object.entries(matchLabels).every(([name, value]) => labels[name] === value) &&
    matchExpressions.every((expression) => matchesExpression(expression, labels))
  );
}

/** As Kubernetes' labels.Requirement: NotIn holds for objects without the label, too. */
function matchesExpression({ key, operator, values = [] }: LabelExpression, labels: Labels): boolean {
  const value = Object.hasOwn(labels, key) ? labels[key] : undefined;
  const isIn = value !== undefined && values.includes(value);
  switch (operator) {
    case "In":
      return isIn;
    case "NotIn":
      return !isIn;
    case "Exists":
      return value !== undefined;
    case "DoesNotExist":
      return value === undefined;
  }
}

/** Checks that each expression has a label, and values exactly where its operator compares with some. */
export function checkSelectorExpressions(selector: LabelSelector, path: Path, findings: Findings): void {
  for (const [index, { key, operator, values = [] }] of (selector.matchExpressions ?? []).entries()) {
    const at = [...path, "matchExpressions", index];
    const needsValues = operator === "In" || operator === "NotIn";
    if (key === "") findings.error([...at, "key"], "is required", "required");
    if (needsValues && values.length === 0) findings.error([...at, "values"], `${operator} needs values`, "required");
    if (!needsValues && values.length > 0) findings.error([...at, "values"], `${operator} takes no values`, "selector");
  }
}
