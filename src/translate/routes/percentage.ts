import type { FractionalPercent } from "@meltemi/protos/envoy/type/v3";

const perMillion = 10_000;

/** A percentage with decimals, in parts of a million; what is finer is cut off. */
export function buildPercentage(percent: { readonly value?: number }): FractionalPercent {
  return withNumerator(Math.trunc((percent.value ?? 0) * perMillion), { denominator: "MILLION" });
}

/** A percentage in whole numbers. */
export function buildWholePercentage(percent: number): FractionalPercent {
  return withNumerator(percent, {});
}

function withNumerator(numerator: number, rest: FractionalPercent): FractionalPercent {
  return numerator === 0 ? rest : { numerator, ...rest };
}
