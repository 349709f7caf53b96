/** Compares what a table expects with what a simulation gives. */
import { isDeepStrictEqual } from "node:util";
import type { Simulation } from "./simulate.ts";

export interface Expectation {
  readonly [field: string]: unknown;
}

/** Fields whose maps are compared only in what is expected of them; null says that an entry must be absent. */
const openMaps: ReadonlySet<string> = new Set(["requestHeaders", "responseHeaders", "fault"]);

/**
 * Compares the fields that are expected; null expects absence. Gives a text with every difference and what each stage
 * of the simulation decided; undefined where all is as expected.
 */
export function explainDifference(expectation: Expectation, { outcome, trace }: Simulation): string | undefined {
  const actual = outcome as unknown as Record<string, unknown>;
  const differences = Object.entries(expectation).flatMap(([field, expected]) =>
    listDifferences(field, expected, actual[field]),
  );
  if (differences.length === 0) return undefined;
  const stages = trace.map((line) => `  ${line}`);
  return [...differences, "stages:", ...stages, `outcome: ${JSON.stringify(outcome, undefined, 2)}`].join("\n");
}

function listDifferences(field: string, expected: unknown, actual: unknown): readonly string[] {
  if (openMaps.has(field) && isMap(expected) && isMap(actual)) {
    return Object.entries(expected).flatMap(([name, value]) =>
      listDifferences(`${field}.${name}`, value, actual[name]),
    );
  }
  if (expected === null ? actual === undefined : isDeepStrictEqual(actual, expected)) return [];
  return [`${field}: expected ${JSON.stringify(expected)}, got ${JSON.stringify(actual)}`];
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
