/** Which operations do something to which things; istiod takes the others, too, and does nothing. */
import type { ConfigPatch } from "./schema.ts";

export type ApplyTo = Exclude<NonNullable<ConfigPatch["applyTo"]>, "INVALID">;
export type Operation = Exclude<NonNullable<NonNullable<ConfigPatch["patch"]>["operation"]>, "INVALID">;

const merges: readonly Operation[] = ["MERGE", "MERGE_AND_REPLACE_LIST"];
const inserts: readonly Operation[] = ["INSERT_FIRST", "INSERT_BEFORE", "INSERT_AFTER"];
const filterOperations: readonly Operation[] = ["ADD", ...inserts, "REPLACE", "REMOVE", "MERGE"];

/** Istio: networking/core/envoyfilter; what is inserted where order means nothing is added (model/envoyfilter.go). */
const operations: Readonly<Record<ApplyTo, readonly Operation[]>> = {
  LISTENER: ["ADD", ...inserts, "REMOVE", ...merges],
  LISTENER_FILTER: filterOperations,
  FILTER_CHAIN: ["ADD", ...inserts, "REMOVE", ...merges],
  NETWORK_FILTER: filterOperations,
  HTTP_FILTER: filterOperations,
  ROUTE_CONFIGURATION: merges,
  VIRTUAL_HOST: ["ADD", ...inserts, "REPLACE", "REMOVE", ...merges],
  HTTP_ROUTE: ["ADD", ...inserts, "REMOVE", ...merges],
  CLUSTER: ["ADD", ...inserts, "REMOVE", ...merges],
  EXTENSION_CONFIG: ["ADD", ...inserts],
  // Read by proxies when they start, which nobody here tells them.
  BOOTSTRAP: [],
};

/** Operations that have an effect on a kind of thing. */
export function listOperations(applyTo: ApplyTo): readonly Operation[] {
  return operations[applyTo];
}

/** The operation that is carried out: what cannot be put at a place is added. */
export function effectiveOperation(applyTo: ApplyTo, operation: Operation): Operation {
  const isOrdered = operations[applyTo] === filterOperations || applyTo === "HTTP_ROUTE";
  return inserts.includes(operation) && !isOrdered ? "ADD" : operation;
}
