import type { Listener } from "@meltemi/protos/envoy/config/listener/v3";
import { createSlotMemo } from "../../lib/slot-memo.ts";
import { type FilterFacts, formatFacts, formatSharedFacts } from "../network-filters/filter-facts.ts";

/** Listeners kept for one mesh configuration: those of large meshes with many kinds of workloads. */
const mostListeners = 65_536;

const keep = createSlotMemo<Listener>(mostListeners);

/** How a listener is built from its plan. */
export interface ListenerBuilder<Plan> {
  /** Reads nothing but its arguments. */
  readonly build: (plan: Plan, facts: FilterFacts) => Listener;
  /** True where a listener of the plan says who the workload is (tracing does); otherwise all workloads share it. */
  readonly readsIdentity: (plan: Plan) => boolean;
}

/**
 * The listener of a plan, the same object for an equal plan. The whole plan is the key, and together with the facts all
 * that building reads: a change that leaves the plan as it was, of whatever object, gives the listener again that proxies
 * already have.
 */
export function buildOnce<Plan>(plan: Plan, facts: FilterFacts, builder: ListenerBuilder<Plan>): Listener {
  const read = builder.readsIdentity(plan) ? formatFacts(facts) : formatSharedFacts(facts);
  const slot = `${read}${JSON.stringify(plan)}`;
  return keep({ owner: facts.mesh, slot }, [builder], () => builder.build(plan, facts));
}
