import { createFindings, type Finding } from "./findings.ts";
import type { Labels } from "./object.ts";

/** An object with this annotation is always refused: so a webhook finds out whether it is asked at all. */
const alwaysRejectAnnotation = "internal.istio.io/webhook-always-reject";

/** Annotations by which Istio marks objects that it made itself; they give rights that users do not have. */
const internalAnnotations: readonly string[] = [
  alwaysRejectAnnotation,
  "internal.istio.io/parent-namespace",
  "internal.istio.io/parents",
];

const dryRunAnnotation = "istio.io/dry-run";

/**
 * Checks annotations as istiod's webhook does for all kinds (validateMetadata of Istio's pkg/config/validation). The
 * value of "istio.io/dry-run" is for the kind to check: only AuthorizationPolicy may have it.
 */
export function checkAnnotations(kind: string, annotations: Labels): readonly Finding[] {
  const findings = createFindings();
  for (const name of internalAnnotations) {
    if (Object.hasOwn(annotations, name)) {
      findings.error(["metadata", "annotations", name], "must not be set by users", "annotation");
    }
  }
  if (Object.hasOwn(annotations, dryRunAnnotation) && kind !== "AuthorizationPolicy") {
    findings.error(["metadata", "annotations", dryRunAnnotation], "is for AuthorizationPolicy only", "annotation");
  }
  return findings.all;
}
