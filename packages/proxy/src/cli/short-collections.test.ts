import { execFileSync } from "node:child_process";
import { getHeapSpaceStatistics } from "node:v8";
import { expect, it } from "vitest";
import { createShortCollections } from "./short-collections.ts";

function start() {
  const asked: string[] = [];
  const collections = createShortCollections({
    setFlag: (flag) => asked.push(flag),
    collectYoung: () => asked.push("now"),
  });
  return { collections, take: () => asked.splice(0) };
}

it("asks for early collections from the first user's begin to the last one's end, and for one at once", () => {
  const { collections, take } = start();
  expect(take()).toEqual(["--heap-growing-percent=300"]);
  collections.begin();
  expect(take()).toEqual(["--minor-gc-task-trigger=4", "now"]);
  collections.begin();
  collections.end();
  expect(take()).toEqual([]);
  collections.end();
  expect(take()).toEqual(["--minor-gc-task-trigger=80"]);
  collections.begin();
  expect(take()).toEqual(["--minor-gc-task-trigger=4", "now"]);
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

it("ends with the trigger that this V8 has by itself", () => {
  const options = execFileSync(process.execPath, ["--v8-options"], { encoding: "utf8" });
  expect(options).toMatch(/--minor-gc-task-trigger[^\n]*\n[^\n]*default: --minor-gc-task-trigger=80\n/);
});
