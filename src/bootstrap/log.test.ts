import { expect, it } from "vitest";
import { createLog } from "./log.ts";

function capture(
  level: string,
  json: boolean,
): { readonly lines: string[]; readonly log: ReturnType<typeof createLog> } {
  const lines: string[] = [];
  return { lines, log: createLog({ level, json, write: (line) => lines.push(line) }) };
}

it("prints text for people: time, level, component, message and fields", () => {
  const { lines, log } = capture("info", false);
  log.child({ component: "push" }).info("configuration sent", { proxies: 3, proxy: "a.b", note: "two words" });
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatch(
    /^\d\d:\d\d:\d\d\.\d{3} info {2}push: configuration sent {2}proxies=3 {2}proxy=a\.b {2}note="two words"\n$/,
  );
});

it("prints one JSON object a line for machines", () => {
  const { lines, log } = capture("warn", true);
  log.warn("slow", { ms: 5 });
  expect(JSON.parse(lines[0] ?? "")).toMatchObject({
    level: "warn",
    msg: "slow",
    ms: 5,
    time: expect.stringMatching(/Z$/),
  });
});

it("leaves out what is below its level", () => {
  const { lines, log } = capture("warn", true);
  log.info("quiet");
  log.debug("quieter");
  expect(lines).toEqual([]);
  const silent = capture("none", true);
  silent.log.error("not even this");
  expect(silent.lines).toEqual([]);
});

it("prints what errors say, and the stack of bugs", () => {
  const { lines, log } = capture("info", false);
  class StoreError extends Error {
    override readonly name = "StoreError";
  }
  log.error("no authority", { error: new StoreError("the Secret is damaged", { cause: new Error("bad PEM") }) });
  log.error("a bug", { error: new TypeError("undefined is not a mesh") });
  expect(lines[0]).toContain('error="StoreError: the Secret is damaged (bad PEM)"');
  expect(lines[1]).toContain("undefined is not a mesh");
  expect(lines[1]).toContain("log.test.ts");
});
