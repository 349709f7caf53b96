/**
 * `make proxy-bench`: the companion proxy beside Envoy (one worker thread) and http-proxy, on the same machine in the same
 * minutes. Work is counted by CPU second of the proxy's process, so that what asks and what answers may take as long as
 * they like. Linux only.
 *
 *   node test/bench/proxies/proxy-bench.ts [--rounds 5] [--seconds 2] [--only http1,tcp] [--json file]
 */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { issueServingCertificate } from "../../../src/ca/authority.ts";
import { systemClock } from "../../../src/lib/clock.ts";
import { createTestRoot } from "../../support/test-ca.ts";
import type { ServingCertificate } from "./bench-bootstrap.ts";
import { ChildLink } from "./child-link.ts";
import { formatFigures } from "./format-figures.ts";
import { startLoad } from "./load-link.ts";
import { formatMemory, type MemoryFigures, measureMemory } from "./measure-memory.ts";
import { runScenario, type ScenarioFigures } from "./run-scenario.ts";
import { get, listScenarios, scenarioNames } from "./scenarios.ts";
import type { UpstreamPorts } from "./upstream-process.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "2" },
    only: { type: "string", default: "" },
    json: { type: "string" },
  },
});
const names: readonly string[] = [...scenarioNames, "memory"];
const picked = values.only === "" ? names : values.only.split(",");
for (const name of picked) {
  if (!names.includes(name)) throw new Error(`there is no ${name}; there are ${names.join(", ")}`);
}
const rounds = { rounds: Number(values.rounds), warmUpMs: 2000, measureMs: Number(values.seconds) * 1000 };
const certificate = await createCertificate();
const upstream = await ChildLink.start<object, UpstreamPorts>("upstream-process.ts");
const load = await startLoad();
const all: Record<string, ScenarioFigures | MemoryFigures> = {};
const options = { ports: upstream.ready, certificate };
try {
  for (const scenario of listScenarios(certificate.roots)) {
    if (!picked.includes(scenario.name)) continue;
    const figures = await runScenario(scenario, { load, options, rounds });
    all[scenario.name] = figures;
    process.stdout.write(`\n${formatFigures(scenario, figures)}\n`);
  }
  if (picked.includes("memory")) {
    const connections = 1000;
    const memory = {
      load,
      options,
      work: get,
      rounds: Math.min(rounds.rounds, 3),
      warmUpMs: rounds.warmUpMs,
      connections,
    };
    all["memory"] = await measureMemory(memory);
    process.stdout.write(`\n${formatMemory(all["memory"], connections)}\n`);
  }
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(all, undefined, 2)}\n`);
} finally {
  await Promise.all([upstream.link.stop(), load.stop()]);
}

async function createCertificate(): Promise<ServingCertificate> {
  const root = await createTestRoot();
  const options = { names: ["localhost"], lifetimeMs: 86_400_000, nowMs: systemClock.now() };
  const { chain, privateKey } = await issueServingCertificate(root, options);
  return { chain, privateKey: privateKey.reveal(), roots: root.roots };
}
