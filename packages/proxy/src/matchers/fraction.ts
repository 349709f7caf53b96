import type { FractionalPercent } from "@meltemi/protos/envoy/type/v3";

const denominators = { HUNDRED: 100, TEN_THOUSAND: 10_000, MILLION: 1_000_000 } as const;

/** The part that a fraction stands for, from 0 to 1. More than all is all. */
export function fractionOf(wire: FractionalPercent | undefined): number {
  return Math.min(1, (wire?.numerator ?? 0) / denominators[wire?.denominator ?? "HUNDRED"]);
}
