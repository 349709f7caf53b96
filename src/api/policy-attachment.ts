/** What a policy applies to: workloads by labels, or Kubernetes objects by reference. The form of type.istio.io. */
import type { Static } from "typebox";
import type { Findings, Path } from "./findings.ts";
import { type DeepReadonly, list, name, optional, policySelector, record, text } from "./schema-fields.ts";
import { checkSelector } from "./workload-selector.ts";

const targetReferenceSchema = record(
  {
    group: optional(text('API group of the object; "" for a Service.')),
    kind: name("Kind of the object: Gateway, GatewayClass, Service or ServiceEntry."),
    name: name("Name of the object."),
    namespace: optional(text("Must be empty: the object is in the policy's own namespace.")),
  },
  "Object that the policy is for, such as a Gateway or a waypoint; targetRefs takes several.",
);

/** The fields that attach a policy, to be spread into its schema. At most one of them may be set. */
export const attachmentFields = {
  selector: optional(
    policySelector(
      "Workloads of this namespace that the policy is for; all where not given, of the mesh in the root namespace.",
    ),
  ),
  targetRef: optional(targetReferenceSchema),
  targetRefs: optional(list(targetReferenceSchema, "Objects that the policy is for.")),
};

type TargetReference = DeepReadonly<Static<typeof targetReferenceSchema>>;
type Selector = { readonly matchLabels?: { readonly [name: string]: string } };

interface Attachment {
  readonly selector?: Selector;
  readonly targetRef?: TargetReference;
  readonly targetRefs?: readonly TargetReference[];
}

/** Kinds that a policy can be attached to, by API group; the core group has two names. */
const targetKinds: { readonly [kind: string]: readonly string[] } = {
  Service: ["", "core"],
  ServiceEntry: ["networking.istio.io"],
  Gateway: ["gateway.networking.k8s.io"],
  GatewayClass: ["gateway.networking.k8s.io"],
};

/** Checks what a policy applies to, as istiod's webhook does (validateOneOfSelectorType and what follows it). */
export function checkAttachment(spec: Attachment, findings: Findings): void {
  const { selector, targetRef, targetRefs = [] } = spec;
  const given = [
    ...(selector === undefined ? [] : ["selector"]),
    ...(targetRef === undefined ? [] : ["targetRef"]),
    ...(targetRefs.length === 0 ? [] : ["targetRefs"]),
  ];
  if (given.length > 1) findings.error(["spec"], `only one of ${given.join(", ")} may be set`, "one-of");
  checkPolicySelector(selector, findings);
  if (targetRef !== undefined) checkTarget(targetRef, ["spec", "targetRef"], findings);
  for (const [index, target] of targetRefs.entries()) checkTarget(target, ["spec", "targetRefs", index], findings);
}

/** Checks `spec.selector`, for kinds that are attached in no other way. */
export function checkPolicySelector(selector: Selector | undefined, findings: Findings): void {
  if (selector === undefined) return;
  checkSelector(selector.matchLabels, { path: ["spec", "selector"], field: "matchLabels" }, findings);
}

function checkTarget(target: TargetReference, path: Path, findings: Findings): void {
  const { group = "", kind, namespace = "" } = target;
  if (namespace !== "") {
    findings.error([...path, "namespace"], "must not be set: a policy reaches its own namespace only", "target");
  }
  const groups = Object.hasOwn(targetKinds, kind) ? targetKinds[kind] : undefined;
  if (groups === undefined) {
    findings.error([...path, "kind"], `must be one of ${Object.keys(targetKinds).join(", ")}, not "${kind}"`, "target");
  } else if (!groups.includes(group)) {
    const expected = groups.map((name) => `"${name}"`).join(" or ");
    findings.error([...path, "group"], `must be ${expected} for a ${kind}, not "${group}"`, "target");
  }
}
