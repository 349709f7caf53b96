/** The status of every Istio kind (meta/v1alpha1 IstioStatus): the controllers of older meshes may have written it. */
import type { StructuralSchema } from "./structural.ts";

/** A 64-bit number, which protobuf's JSON writes as text and everything else as a number. */
const generation = (description: string): StructuralSchema => ({
  description,
  anyOf: [{ type: "integer" }, { type: "string" }],
  "x-kubernetes-int-or-string": true,
});
const text = (description: string): StructuralSchema => ({ type: "string", description });
const time = (description: string): StructuralSchema => ({ type: "string", format: "date-time", description });
const record = (properties: StructuralSchema["properties"], description?: string): StructuralSchema => ({
  type: "object",
  ...(properties === undefined ? {} : { properties }),
  ...(description === undefined ? {} : { description }),
});

const condition = record({
  type: text("What the condition is about, such as Reconciled."),
  status: text("True, False or Unknown."),
  reason: text("One word that says why."),
  message: text("Words for people."),
  lastProbeTime: time("When it was last looked at."),
  lastTransitionTime: time("When the status last changed."),
  observedGeneration: generation("Generation of the object that the condition speaks of."),
});

const validationMessage = record({
  type: record({ name: text("Name of the finding."), code: text("Code of the finding.") }, "What was found."),
  level: {
    type: "string",
    enum: ["UNKNOWN", "ERROR", "WARNING", "INFO"],
    description: "How bad it is.",
  },
  message: text("Field and finding, in words."),
  documentationUrl: text("Where to read more."),
});

export const statusSchema: StructuralSchema = {
  ...record(
    {
      conditions: { type: "array", items: condition, description: "Where the object stands." },
      validationMessages: {
        type: "array",
        items: { ...validationMessage, "x-kubernetes-preserve-unknown-fields": true },
        description: "What validation and analysis say about the object.",
      },
      observedGeneration: generation("Newest generation that was looked at."),
    },
    "What the control plane says about the object.",
  ),
  "x-kubernetes-preserve-unknown-fields": true,
};
