/** drop_overloads of a load assignment: a part of all requests that is refused before a host is chosen. */
import type { ClusterLoadAssignment_Policy_DropOverload } from "@meltemi/protos/envoy/config/endpoint/v3";
import { ConfigError, compileAll } from "../../lib/config-error.ts";

export interface DropOverload {
  readonly category: string;
  /** Between 0 and 1. */
  readonly fraction: number;
}

const denominators = { HUNDRED: 100, TEN_THOUSAND: 10_000, MILLION: 1_000_000 };

export function compileDropOverloads(
  wire: readonly ClusterLoadAssignment_Policy_DropOverload[] | undefined,
): readonly DropOverload[] {
  // Envoy takes one category at most.
  if (wire !== undefined && wire.length > 1) throw new ConfigError("drop_overloads", "takes one category at most");
  return compileAll("drop_overloads", wire, ({ category = "", drop_percentage }) => {
    const { numerator = 0, denominator = "HUNDRED" } = drop_percentage ?? {};
    return { category, fraction: Math.min(1, numerator / denominators[denominator]) };
  });
}
