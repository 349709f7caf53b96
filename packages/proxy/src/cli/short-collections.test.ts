import { execFileSync } from "node:child_process";
import { getHeapSpaceStatistics } from "node:v8";
import { expect, it } from "vitest";
import { createShortCollections } from "./short-collections.ts";

const usual = ["--minor-gc-task-trigger=80", "--heap-growing-percent=0"];

function start() {
  const asked: string[] = [];
  const collections = createShortCollections({
    setFlag: (flag) => asked.push(flag),
    collectYoung: () => asked.push("now"),
  });
  return { collections, take: () => asked.splice(0) };
}

const early = ["--heap-growing-percent=300", "--minor-gc-task-trigger=4", "now"];

it("asks for early collections and a large heap from the first user's begin to the last one's end", () => {
  const { collections, take } = start();
  collections.begin();
  expect(take()).toEqual(early);
  collections.begin();
  collections.end();
  expect(take()).toEqual([]);
  collections.end();
  expect(take()).toEqual(["--heap-growing-percent=0", "--minor-gc-task-trigger=80"]);
  collections.begin();
  expect(take()).toEqual(early);
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
