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
import type { LoadAnswer, LoadCommand } from "./load-process.ts";
import { runScenario, type ScenarioFigures } from "./run-scenario.ts";
import { listScenarios, scenarioNames } from "./scenarios.ts";
import type { UpstreamPorts } from "./upstream-process.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "2" },
    only: { type: "string", default: "" },
    json: { type: "string" },
  },
});
const picked = values.only === "" ? scenarioNames : values.only.split(",");
for (const name of picked) {
  if (!(scenarioNames as readonly string[]).includes(name)) {
    throw new Error(`there is no ${name}; there are ${scenarioNames.join(", ")}`);
  }
}
const rounds = { rounds: Number(values.rounds), warmUpMs: 2000, measureMs: Number(values.seconds) * 1000 };
const certificate = await createCertificate();
const upstream = await ChildLink.start<object, UpstreamPorts>("upstream-process.ts");
const load = await ChildLink.start<LoadCommand, LoadAnswer>("load-process.ts");
const all: Record<string, ScenarioFigures> = {};
try {
  for (const scenario of listScenarios(certificate.roots)) {
    if (!picked.includes(scenario.name)) continue;
    const options = { ports: upstream.ready, certificate };
    const figures = await runScenario(scenario, { load: load.link, options, rounds });
    all[scenario.name] = figures;
    process.stdout.write(`\n${formatFigures(scenario, figures)}\n`);
  }
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(all, undefined, 2)}\n`);
} finally {
  await Promise.all([upstream.link.stop(), load.link.stop()]);
}

async function createCertificate(): Promise<ServingCertificate> {
  const root = await createTestRoot();
  const options = { names: ["localhost"], lifetimeMs: 86_400_000, nowMs: systemClock.now() };
  const { chain, privateKey } = await issueServingCertificate(root, options);
  return { chain, privateKey: privateKey.reveal(), roots: root.roots };
}
