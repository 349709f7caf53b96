import type { DestinationRule } from "../api/destination-rule/schema.ts";
import type { ObjectRef } from "../lib/message.ts";

/** A destination rule as it applies to a host: rules for the same host are merged (Istio: model/destination_rule.go). */
export interface MergedDestinationRule {
  readonly namespace: string;
  readonly spec: DestinationRule["spec"];
  /** The objects it was made of, the leading one first. */
  readonly sources: readonly ObjectRef[];
}
