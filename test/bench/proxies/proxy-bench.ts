/**
 * `make proxy-bench`: the companion proxy beside Envoy (one worker thread) and http-proxy, on the same machine in the same
 * minutes. Work is counted by CPU second of the proxy's process, so that what asks and what answers may take as long as
 * they like. Linux only.
 *
 *   node test/bench/proxies/proxy-bench.ts [--rounds 5] [--seconds 1.5] [--only http1,tcp] [--json file]
 */
import { writeFileSync } from "node:fs";
import { loadavg } from "node:os";
import { parseArgs } from "node:util";
import { envoyVersion } from "../../../tools/envoy/fetch.ts";
import { type BenchRig, startBenchRig, withContestants } from "./bench-rig.ts";
import type { ContestantName } from "./contestants.ts";
import { formatFigures, formatMemory } from "./format-figures.ts";
import { type MemoryFigures, type MemoryReading, measureMemory, summarizeMemory } from "./measure-memory.ts";
import { type Rounds, runScenario, type ScenarioFigures } from "./run-scenario.ts";
import { listScenarios, scenarioNames } from "./scenarios.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "1.5" },
    only: { type: "string", default: "" },
    json: { type: "string" },
  },
});
const names: readonly string[] = [...scenarioNames, "memory"];
const picked = values.only === "" ? names : values.only.split(",");
for (const name of picked) {
  if (!names.includes(name)) throw new Error(`there is no ${name}; there are ${names.join(", ")}`);
}
const rounds: Rounds = { rounds: Number(values.rounds), warmUpCpuSeconds: 2, measureMs: Number(values.seconds) * 1000 };
const idleConnections = 1000;
/** Processes of each proxy whose memory is read. */
const memoryRounds = Math.min(rounds.rounds, 3);
const all: Record<string, ScenarioFigures | MemoryFigures> = {};

const rig = await startBenchRig();
try {
  await measureAll(rig);
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(all, undefined, 2)}\n`);
} finally {
  await rig.stop();
}

async function measureAll({ load, options }: BenchRig): Promise<void> {
  const [load1 = 0] = loadavg();
  say(
    `The companion proxy beside Envoy ${envoyVersion} and http-proxy on Node ${process.versions.node}: medians of ` +
      `${values.rounds} rounds of ${values.seconds} s.\n  The machine's load at the beginning: ${load1.toFixed(1)}; ` +
      "above 0.5 it is busy with something else, and figures are those of a busy machine.",
  );
  for (const scenario of listScenarios(options.certificate.roots)) {
    if (!picked.includes(scenario.name)) continue;
    const figures = await withContestants(rig, (contestants) => runScenario(scenario, { load, contestants, rounds }));
    all[scenario.name] = figures;
    say(formatFigures(scenario, figures));
  }
  if (!picked.includes("memory")) return;
  const figures = await measureProcesses(rig);
  all["memory"] = figures;
  say(formatMemory(figures, idleConnections));
}

async function measureProcesses({ load }: BenchRig): Promise<MemoryFigures> {
  const readings: Record<ContestantName, MemoryReading[]> = { companion: [], Envoy: [], "http-proxy": [] };
  const { warmUpCpuSeconds } = rounds;
  const memory = { load, warmUpCpuSeconds, settleMs: 1000, connections: idleConnections };
  for (let round = 0; round < memoryRounds; round++) {
    await withContestants(rig, async (contestants) => {
      for (const contestant of contestants) {
        readings[contestant.name].push(await measureMemory(contestant, memory));
      }
    });
  }
  return summarizeMemory(readings);
}

function say(text: string): void {
  process.stdout.write(`\n${text}\n`);
}
