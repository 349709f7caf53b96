/** The table of the protocol's checklist: what the tests under test/protocol say about each of its numbers. */

/** How many numbers each section has; every one must be tested or said not to apply. */
const sectionSizes: { readonly [section: string]: number } = { A: 18, B: 25, C: 22, D: 36, E: 13, F: 12 };

export interface CaseResult {
  /** Begins with the number of the case; other tests are left out. */
  readonly title: string;
  readonly state: "passed" | "failed" | "skipped" | "pending";
}

export interface Checklist {
  /** One line for each number, such as "A-1 pass", sorted by section and number. */
  readonly lines: readonly string[];
  /** Numbers that no test names. */
  readonly missing: readonly string[];
}

/**
 * Sums results up by number. Of several tests of one number all must pass. With `isWhole` numbers without a test are
 * listed as missing; without it, as where a part of the tests ran, they are left out.
 */
export function buildChecklist(results: readonly CaseResult[], isWhole: boolean): Checklist {
  const byNumber = new Map<string, CaseResult[]>();
  for (const result of results) {
    const number = /^[A-Z]-\d+(?= )/.exec(result.title)?.[0];
    if (number !== undefined) byNumber.set(number, [...(byNumber.get(number) ?? []), result]);
  }
  const missing = isWhole ? listNumbers().filter((number) => !byNumber.has(number)) : [];
  const numbers = [...byNumber.keys(), ...missing].sort(compareNumbers);
  return { missing, lines: numbers.map((number) => `${number} ${summarize(byNumber.get(number))}`) };
}

function listNumbers(): readonly string[] {
  return Object.entries(sectionSizes).flatMap(([section, size]) => {
    return Array.from({ length: size }, (_, index) => `${section}-${index + 1}`);
  });
}

function compareNumbers(first: string, second: string): number {
  const [section, number] = first.split("-");
  const [otherSection, otherNumber] = second.split("-");
  return (section ?? "").localeCompare(otherSection ?? "") || Number(number) - Number(otherNumber);
}

function summarize(results: readonly CaseResult[] | undefined): string {
  if (results === undefined) return "MISSING";
  if (results.some(({ state }) => state === "failed")) return "FAIL";
  const [, reason] = /^\S+ (does not apply: .*)$/.exec(results[0]?.title ?? "") ?? [];
  return results.every(({ state }) => state === "passed") ? (reason ?? "pass") : "not run";
}
