import { expect, test } from "vitest";
import { buildChecklist, type CaseResult } from "./checklist.ts";

const results: readonly CaseResult[] = [
  { title: "B-2 later", state: "passed" },
  { title: "A-10 does not apply: not offered", state: "passed" },
  { title: "A-2 one (sotw)", state: "passed" },
  { title: "A-2 one (delta)", state: "failed" },
  { title: "A-3 left out by a filter", state: "skipped" },
  { title: "no case at all", state: "failed" },
];

test("results are summed up by number, in the order of the numbers", () => {
  const { lines } = buildChecklist(results, false);
  expect(lines).toEqual(["A-2 FAIL", "A-3 not run", "A-10 does not apply: not offered", "B-2 pass"]);
});

test("of a whole run every number without a test is missing", () => {
  const { lines, missing } = buildChecklist(results, true);
  expect(missing).toHaveLength(18 + 25 + 22 + 36 + 13 + 12 - 4);
  expect(lines.slice(0, 3)).toEqual(["A-1 MISSING", "A-2 FAIL", "A-3 not run"]);
  expect(lines.at(-1)).toBe("F-12 MISSING");
});
