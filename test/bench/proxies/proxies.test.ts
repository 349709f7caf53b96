import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createAnswerReader } from "./answer-reader.ts";
import { type BenchRig, startBenchRig } from "./bench-rig.ts";
import { createBody } from "./bodies.ts";
import { type Contestant, contestantNames, startContestant } from "./contestants.ts";
import { askLoad } from "./load-link.ts";
import { measureMemory } from "./measure-memory.ts";
import { runScenario } from "./run-scenario.ts";
import { get, listScenarios, scenarioNames } from "./scenarios.ts";

let rig: BenchRig;
const contestants: Contestant[] = [];
beforeAll(async () => {
  rig = await startBenchRig();
  for (const name of contestantNames) contestants.push(await startContestant(name, rig.options));
});
afterAll(async () => {
  for (const contestant of contestants) await contestant.stop();
  await rig?.stop();
});

describe("what `make proxy-bench` measures", () => {
  // http-proxy knows HTTP/1.1 alone.
  const withoutHttpProxy: readonly string[] = ["http2", "tcp"];
  it.each(scenarioNames)("%s: every proxy that can do it answers, and answers right", async (name) => {
    const scenario = listScenarios(rig.options.certificate.roots).find((one) => one.name === name);
    if (scenario === undefined) throw new Error(`there is no ${name}`);
    const rounds = { rounds: 1, warmUpCpuSeconds: 0, measureMs: 200 };
    const figures = await runScenario(scenario, { load: rig.load, contestants, rounds });
    for (const contestant of contestantNames) {
      const isAble = contestant !== "http-proxy" || !withoutHttpProxy.includes(name);
      expect(figures[contestant] !== undefined, contestant).toBe(isAble);
      for (const figure of Object.values(figures[contestant] ?? {})) expect(figure, contestant).toBeGreaterThan(0);
    }
  });

  it("memory: every proxy keeps idle connections", async () => {
    for (const contestant of contestants) {
      const reading = await measureMemory(contestant, {
        load: rig.load,
        warmUpCpuSeconds: 0.1,
        settleMs: 50,
        connections: 60,
      });
      expect(Math.min(...Object.values(reading)), contestant.name).toBeGreaterThan(1e6);
    }
  });

  it.each([
    ["http", { ...get, path: "/nowhere" }, "404"],
    ["http", { ...get, answerBytes: 1000 }, "1000 bytes were expected"],
    ["http2", { ...get, protocol: "http2", path: "/nowhere" }, "not 200"],
  ] as const)("%s: %j fails with %s", async (listener, work, reason) => {
    for (const { pid, ports } of contestants) {
      const port = ports[listener];
      if (port === undefined) continue;
      const run = { do: "run", work, port, pid, lanes: 1, warmUpCpuSeconds: 20, measureMs: 0 } as const;
      await expect(askLoad(rig.load, run, "result")).rejects.toThrow(reason);
    }
  });
});

describe("createAnswerReader", () => {
  const body = createBody(300);
  const answer = (given: Buffer, status = 200): Buffer =>
    Buffer.concat([Buffer.from(`HTTP/1.1 ${status} -\r\nContent-Length: ${given.length}\r\n\r\n`), given]);
  const cut = (data: Buffer, bytes: number): readonly Buffer[] =>
    Array.from({ length: Math.ceil(data.length / bytes) }, (_, index) =>
      data.subarray(index * bytes, (index + 1) * bytes),
    );

  it.each([1, 7, 40, 200, 1000])("reads answers in pieces of %i bytes", (bytes) => {
    const reader = createAnswerReader(body);
    for (let count = 0; count < 3; count++) {
      const whole = cut(answer(body), bytes).map((piece) => reader.take(piece));
      expect(whole.indexOf(true)).toBe(whole.length - 1);
    }
  });

  it.each([
    ["another status", answer(body, 503), "503"],
    ["another length", answer(createBody(299)), "300 bytes were expected"],
    ["other bytes", answer(Buffer.from(body).reverse()), "a body with"],
    ["more than was asked for", Buffer.concat([answer(body), Buffer.from("H")]), "more came"],
  ])("refuses %s", (_what, data, reason) => {
    expect(() => createAnswerReader(body).take(data)).toThrow(reason);
  });
});
