/**
 * `make hostile`: what clients that behave see of a proxy that others attack, and of one whose control plane has lost its
 * mind. Compare within a run: each attack with the figures of the same proxy left in peace.
 *
 *   node test/companion/hostile/hostile.ts [--only idle,drip] [--rate 300] [--seconds 8] [--proxy companion|envoy]
 *       [--scale 0.1] [--attempts 1] [--reasons]
 *
 * The verdict "ok" takes all of these: every request of those that behave was answered with 200; their p99 is at most
 * double of what it was in peace right before, or 5 ms more where that is the larger (what such a machine does by itself;
 * where only that is missed, attack and peace are measured again, up to three times, and more often where the machine was
 * not given the time that it asked for); memory grew by at most `memoryLimit` at its peak; nothing is left over when the
 * attackers are gone; what a control plane may not say was refused, and what it says when it has recovered is taken.
 */
import { parseArgs } from "node:util";
import { dataPlanes } from "../../envoy/envoy-process.ts";
import { HostileRig, type Outcome, type RigOptions } from "./hostile-rig.ts";
import { type ClientScenario, type ControlPlaneScenario, clientScenarios, controlPlaneScenarios } from "./scenarios.ts";
import { findFaults } from "./verdict.ts";

const { values } = parseArgs({
  options: {
    only: { type: "string", default: "" },
    rate: { type: "string", default: "300" },
    seconds: { type: "string", default: "8" },
    proxy: { type: "string", default: "companion" },
    scale: { type: "string", default: "1" },
    attempts: { type: "string", default: "3" },
    reasons: { type: "boolean", default: false },
  },
});
const only = values.only.split(",").filter((name) => name !== "");
const isWanted = (name: string): boolean => only.length === 0 || only.includes(name);
const noiseMs = 5;
/** A peace that was noisier than so many times the calmest of the run counts as that: it says more of the machine. */
const mostUnrest = 2;
/** What comes from others on this machine does not come three times. */
const attempts = Number(values.attempts);
/** Share of the time beyond which others on the same processors decide about p99: such an attempt says nothing. */
const mostStolen = 0.01;
const mostAttempts = attempts === 1 ? 1 : 10;
const widths = [46, 9, 7, 10, 8, 8, 7, 8, 7, 7, 7, 8] as const;

const options: Omit<RigOptions, "isDelta"> = {
  dataPlane: dataPlanes.find((plane) => plane === values.proxy) ?? "companion",
  rate: Number(values.rate),
  holdMs: Number(values.seconds) * 1_000,
  scale: Number(values.scale),
};
let failed = 0;
/** p99 of the calmest peace so far. */
let calmest = Number.POSITIVE_INFINITY;

printRow(["", "requests", "failed", "peace p99", "p50 ms", "p99 ms", "max", "stolen", "MB", "peak", "after", ""]);
await runAll(
  false,
  clientScenarios.filter(({ attack }) => isWanted(attack)),
);
await runAll(true, []);
console.log(failed === 0 ? "\nall ok" : `\n${failed} not ok`);
process.exitCode = failed === 0 ? 0 : 1;

/** One proxy, in peace and under each attack; the control plane last, over the given form of the protocol. */
async function runAll(isDelta: boolean, clients: readonly ClientScenario[]): Promise<void> {
  const confusions = controlPlaneScenarios.filter(({ garbage }) => isWanted(garbage));
  if (clients.length + confusions.length === 0) return;
  const rig = await HostileRig.start({ ...options, isDelta });
  const form = isDelta ? "delta" : "state of the world";
  try {
    // The first round warms the proxy up.
    await rig.measureUndisturbed(options.holdMs);
    for (const scenario of clients) {
      await compare(rig, { ...scenario, run: () => rig.attack(scenario) });
    }
    for (const scenario of confusions) {
      const title = `${form}: ${scenario.title}`;
      await compare(rig, { title, clients: 0, scenario, run: () => rig.confuse(scenario) });
    }
  } finally {
    await rig.stop();
  }
}

interface Trial {
  readonly title: string;
  readonly clients: number;
  readonly sees?: string;
  readonly scenario?: ControlPlaneScenario;
  readonly run: () => Promise<Outcome>;
}

/** Peace is measured right before each attack: what else this machine does changes from minute to minute. */
async function compare(rig: HostileRig, { title, clients, sees, scenario, run }: Trial): Promise<void> {
  let counted = 0;
  for (let attempt = 1; ; attempt++) {
    const measured = (await rig.measureUndisturbed(options.holdMs)).load.p99;
    calmest = Math.min(calmest, measured);
    const peaceP99 = Math.min(measured, calmest * mostUnrest);
    const outcome = await run();
    const judged = { peaceP99, noiseMs, clients, sees, ...(scenario === undefined ? {} : { scenario }) };
    const faults = findFaults(outcome, judged);
    const isLate = faults.length === 1 && faults[0]?.startsWith("p99") === true;
    if (outcome.stolen <= mostStolen) counted += 1;
    if (isLate && counted < attempts && attempt < mostAttempts) continue;
    report(title, outcome, { peaceP99, faults, attempt });
    return;
  }
}

interface Verdict {
  readonly peaceP99: number;
  readonly faults: readonly string[];
  readonly attempt: number;
}

function report(title: string, outcome: Outcome, { peaceP99, faults, attempt }: Verdict): void {
  const { load, memory, seen, heard } = outcome;
  if (faults.length > 0) failed += 1;
  const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(0);
  printRow([
    title,
    String(load.sent),
    String(load.sent - load.answered),
    peaceP99.toFixed(1),
    load.p50.toFixed(1),
    load.p99.toFixed(1),
    load.longest.toFixed(0),
    `${(outcome.stolen * 100).toFixed(1)}%`,
    megabytes(memory.before),
    megabytes(memory.peak),
    megabytes(memory.after),
    describeVerdict(faults.length === 0, attempt),
  ]);
  const came = Object.entries(seen).map(([what, count]) => `${what} ${count}`);
  if (heard !== undefined) {
    came.push(`streams ${heard.streams}, acknowledged ${heard.acknowledged}, refused ${heard.refused}`);
    if (values.reasons) came.push(...heard.reasons);
  }
  came.push(`upstream ${megabytes(outcome.upstreamBytes)} MB`);
  console.log(`    ${came.join(", ")}`);
  for (const fault of faults) console.log(`    ${fault}`);
}

function describeVerdict(isOk: boolean, attempt: number): string {
  if (!isOk) return "NOT OK";
  return attempt === 1 ? "ok" : `ok (${attempt})`;
}

function printRow(cells: readonly string[]): void {
  console.log(
    cells.map((cell, index) => (index === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[index] ?? 8))).join(""),
  );
}
