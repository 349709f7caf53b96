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

it("asks for early collections from the first user's begin to the last one's end, and for one at once", () => {
  const { collections, take } = start();
  collections.begin("passing");
  expect(take()).toEqual(["--minor-gc-task-trigger=4", "now"]);
  collections.begin("passing");
  collections.end("passing");
  expect(take()).toEqual([]);
  collections.end("passing");
  expect(take()).toEqual(["--minor-gc-task-trigger=80"]);
  collections.begin("passing");
  expect(take()).toEqual(["--minor-gc-task-trigger=4", "now"]);
});

it("lets the heap grow for what lasts alone", () => {
  const { collections, take } = start();
  collections.begin("passing");
  take();
  collections.begin("lasting");
  collections.begin("lasting");
  expect(take()).toEqual(["--heap-growing-percent=300"]);
  collections.end("lasting");
  collections.end("passing");
  expect(take()).toEqual([]);
  collections.end("lasting");
  expect(take()).toEqual(["--heap-growing-percent=0", "--minor-gc-task-trigger=80"]);
});

it("has V8 collect young objects", () => {
  const collections = createShortCollections();
  Array.from({ length: 10_000 }, (_, index) => ({ index }));
  const before = youngBytes();
  collections.begin("passing");
  expect(youngBytes()).toBeLessThan(before);
  collections.end("passing");
  expect("gc" in globalThis).toBe(false);
});

function youngBytes(): number {
  return getHeapSpaceStatistics().find((space) => space.space_name === "new_space")?.space_used_size ?? 0;
}

it.each(usual)("ends with %s, which is what this V8 has by itself", (flag) => {
  const options = execFileSync(process.execPath, ["--v8-options"], { encoding: "utf8" });
  expect(options).toMatch(new RegExp(`${flag.split("=")[0]}[^\\n]*\\n[^\\n]*default: ${flag}\\n`));
});
