import { execFileSync } from "node:child_process";
import { expect, it } from "vitest";
import { createShortCollections } from "./short-collections.ts";

const early = ["--minor-gc-task-trigger=4", "--heap-growing-percent=300"];
const usual = ["--minor-gc-task-trigger=80", "--heap-growing-percent=0"];

it("asks for early collections from the first user's begin to the last one's end", () => {
  const flags: string[] = [];
  const collections = createShortCollections((flag) => flags.push(flag));
  collections.begin();
  collections.begin();
  collections.end();
  expect(flags).toEqual(early);
  collections.end();
  collections.begin();
  collections.end();
  expect(flags).toEqual([...early, ...usual, ...early, ...usual]);
});

it.each(usual)("ends with %s, which is what this V8 has by itself", (flag) => {
  const options = execFileSync(process.execPath, ["--v8-options"], { encoding: "utf8" });
  expect(options).toMatch(new RegExp(`${flag.split("=")[0]}[^\\n]*\\n[^\\n]*default: ${flag}\\n`));
});
