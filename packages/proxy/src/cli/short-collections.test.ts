import { execFileSync } from "node:child_process";
import { getHeapSpaceStatistics } from "node:v8";
import { expect, it } from "vitest";
import { createShortCollections } from "./short-collections.ts";

const early = ["--minor-gc-task-trigger=4", "--heap-growing-percent=300"];
const usual = ["--minor-gc-task-trigger=80", "--heap-growing-percent=0"];

it("asks for early collections from the first user's begin to the last one's end, and for one at once", () => {
  const asked: string[] = [];
  const collections = createShortCollections({
    setFlag: (flag) => asked.push(flag),
    collectYoung: () => asked.push("now"),
  });
  collections.begin();
  collections.begin();
  collections.end();
  expect(asked).toEqual([...early, "now"]);
  collections.end();
  collections.begin();
  collections.end();
  expect(asked).toEqual([...early, "now", ...usual, ...early, "now", ...usual]);
});

it("has V8 collect young objects", () => {
  const collections = createShortCollections();
  Array.from({ length: 10_000 }, (_, index) => ({ index }));
  const before = youngBytes();
  collections.begin();
  expect(youngBytes()).toBeLessThan(before);
  collections.end();
  expect("gc" in globalThis).toBe(false);
});

function youngBytes(): number {
  return getHeapSpaceStatistics().find((space) => space.space_name === "new_space")?.space_used_size ?? 0;
}

it.each(usual)("ends with %s, which is what this V8 has by itself", (flag) => {
  const options = execFileSync(process.execPath, ["--v8-options"], { encoding: "utf8" });
  expect(options).toMatch(new RegExp(`${flag.split("=")[0]}[^\\n]*\\n[^\\n]*default: ${flag}\\n`));
});
