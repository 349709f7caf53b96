import { expect, it } from "vitest";
import { silentLog } from "../lib/log.ts";
import { type Runner, startRunners } from "./runners.ts";

function createRunner(name: string, seen: string[], fails?: "start" | "stop"): Runner {
  const note = async (what: "start" | "stop"): Promise<void> => {
    seen.push(`${what} ${name}`);
    if (fails === what) throw new Error(`${name} cannot ${what}`);
  };
  return { name, start: () => note("start"), stop: () => note("stop") };
}

it("starts in order, stops in the opposite order, once", async () => {
  const seen: string[] = [];
  const stop = await startRunners([createRunner("a", seen), createRunner("b", seen)], silentLog);
  await stop();
  await stop();
  expect(seen).toEqual(["start a", "start b", "stop b", "stop a"]);
});

it("stops what was started where one cannot start", async () => {
  const seen: string[] = [];
  const runners = [createRunner("a", seen), createRunner("b", seen, "start"), createRunner("c", seen)];
  await expect(startRunners(runners, silentLog)).rejects.toThrow("b cannot start");
  expect(seen).toEqual(["start a", "start b", "stop a"]);
});

it("stops the others where one fails to stop", async () => {
  const seen: string[] = [];
  const stop = await startRunners([createRunner("a", seen), createRunner("b", seen, "stop")], silentLog);
  await stop();
  expect(seen.slice(2)).toEqual(["stop b", "stop a"]);
});
