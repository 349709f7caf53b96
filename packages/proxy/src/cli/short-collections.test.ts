import { execFileSync } from "node:child_process";
import { expect, it } from "vitest";
import { createShortCollections } from "./short-collections.ts";

it("asks for early collections from the first user's begin to the last one's end", () => {
  const flags: string[] = [];
  const collections = createShortCollections((flag) => flags.push(flag));
  collections.begin();
  collections.begin();
  collections.end();
  expect(flags).toEqual(["--minor-gc-task-trigger=4"]);
  collections.end();
  collections.begin();
  collections.end();
  expect(flags.map((flag) => flag.split("=")[1])).toEqual(["4", "80", "4", "80"]);
});

it("sets what this V8 has, to what it has by itself", () => {
  const options = execFileSync(process.execPath, ["--v8-options"], { encoding: "utf8" });
  expect(options).toMatch(/--minor-gc-task-trigger[^\n]*\n[^\n]*default: --minor-gc-task-trigger=80/);
});
