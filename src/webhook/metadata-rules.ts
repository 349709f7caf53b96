import { ownField } from "./admission-review.ts";

/** Rejected whenever it is there: the control plane asks for such an object to see whether its webhook is reached. */
export const alwaysRejectAnnotation = "internal.istio.io/webhook-always-reject";

const dryRunAnnotation = "istio.io/dry-run";
/** Set by the control plane on objects that it makes itself; from a user they would give rights of another namespace. */
const internalAnnotations = ["internal.istio.io/parent-namespace", "internal.istio.io/parents"];

/** An annotation that is wrong on this object. */
export interface AnnotationError {
  readonly annotation: string;
  readonly text: string;
}

/** Annotations that Istio refuses on any of its kinds (pkg/config/validation: validateMetadata). */
export function validateAnnotations(kind: string, object: unknown): readonly AnnotationError[] {
  const annotations = ownField(ownField(object, "metadata"), "annotations");
  const has = (annotation: string): boolean => ownField(annotations, annotation) !== undefined;
  const errors: AnnotationError[] = [];
  if (has(alwaysRejectAnnotation))
    errors.push({ annotation: alwaysRejectAnnotation, text: "annotation found, rejecting" });
  for (const annotation of internalAnnotations)
    if (has(annotation)) errors.push({ annotation, text: "annotation found, this may not be set by users" });
  const text = has(dryRunAnnotation) ? describeDryRun(kind, object, annotations) : undefined;
  return text === undefined ? errors : [...errors, { annotation: dryRunAnnotation, text }];
}

/** The values that Go's strconv.ParseBool takes. */
const booleans = /^(1|t|T|TRUE|true|True|0|f|F|FALSE|false|False)$/;

function describeDryRun(kind: string, object: unknown, annotations: unknown): string | undefined {
  if (kind !== "AuthorizationPolicy") return "has an effect on AuthorizationPolicy only, remove it";
  const action = ownField(ownField(object, "spec"), "action") ?? "ALLOW";
  if (action !== "ALLOW" && action !== "DENY") return "has an effect with the actions ALLOW and DENY only";
  const value = ownField(annotations, dryRunAnnotation);
  return typeof value === "string" && booleans.test(value) ? undefined : "must be true or false";
}
