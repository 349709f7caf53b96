import { expect, it } from "vitest";
import type { Message } from "../lib/message.ts";
import { createLog } from "./log.ts";
import { createProblemLog } from "./problem-log.ts";

const problem: Message = {
  level: "error",
  code: "schema",
  object: { kind: "VirtualService", namespace: "bookinfo", name: "reviews" },
  path: "spec.http[0].timeout",
  text: '"5x" is not a duration',
  position: { file: "reviews.yaml", line: 7, column: 3 },
};

function createReporter(): {
  readonly report: (messages: readonly Message[]) => void;
  readonly take: () => readonly string[];
} {
  const lines: string[] = [];
  const log = createLog({ level: "info", json: true, write: (line) => lines.push(line) });
  const take = (): readonly string[] =>
    lines.splice(0).map((line) => `${JSON.parse(line).level} ${JSON.parse(line).msg}`);
  return { report: createProblemLog(log), take };
}

const text = 'reviews.yaml:7 spec.http[0].timeout: "5x" is not a duration (VirtualService bookinfo/reviews)';

it("prints a problem once, and once more when it is solved", () => {
  const { report, take } = createReporter();
  report([]);
  expect(take()).toEqual([]);
  report([problem]);
  report([problem]);
  expect(take()).toEqual([`error ${text}`]);
  report([]);
  report([]);
  expect(take()).toEqual([`info solved: ${text}`]);
});

it("does not call a problem solved that only moved", () => {
  const { report, take } = createReporter();
  report([problem]);
  take();
  report([{ ...problem, position: { file: "reviews.yaml", line: 9, column: 3 } }]);
  expect(take()).toEqual([`error ${text.replace(":7", ":9")}`]);
});

it("tells warnings and leaves hints out", () => {
  const { report, take } = createReporter();
  report([
    { ...problem, level: "warning" },
    { ...problem, level: "info", path: "spec" },
  ]);
  expect(take()).toEqual([`warn ${text}`]);
});
