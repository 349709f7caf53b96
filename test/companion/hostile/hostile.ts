/**
 * `make hostile`: what clients that behave see of a proxy that others attack, and of one whose control plane has lost its
 * mind. Compare within a run: each attack with the figures of the same proxy left in peace.
 *
 *   node test/companion/hostile/hostile.ts [--only idle,drip] [--rate 300] [--seconds 8] [--proxy companion|envoy]
 *
 * The verdict "ok" takes all of these: every request of those that behave was answered with 200; their p99 is at most
 * double of what it is in peace, or 5 ms more where that is the larger (what such a machine does by itself); memory grew by
 * at most `memoryLimit` at its peak; nothing is left over when the attackers are gone; what a control plane may not say was
 * refused, and what it says when it has recovered is taken.
 */
import { parseArgs } from "node:util";
import { dataPlanes } from "../../envoy/envoy-process.ts";
import { HostileRig, type Outcome, type RigOptions } from "./hostile-rig.ts";
import { type ClientScenario, type ControlPlaneScenario, clientScenarios, controlPlaneScenarios } from "./scenarios.ts";
import { findFaults, type Judged } from "./verdict.ts";

const { values } = parseArgs({
  options: {
    only: { type: "string", default: "" },
    rate: { type: "string", default: "300" },
    seconds: { type: "string", default: "8" },
    proxy: { type: "string", default: "companion" },
    scale: { type: "string", default: "1" },
  },
});
const only = values.only.split(",").filter((name) => name !== "");
const isWanted = (name: string): boolean => only.length === 0 || only.includes(name);
const noiseMs = 5;
const widths = [44, 8, 8, 8, 8, 6, 7, 7, 7, 6] as const;

const options: Omit<RigOptions, "isDelta"> = {
  dataPlane: dataPlanes.find((plane) => plane === values.proxy) ?? "companion",
  rate: Number(values.rate),
  holdMs: Number(values.seconds) * 1_000,
  scale: Number(values.scale),
};
let failed = 0;

printRow(["", "requests", "failed", "p50 ms", "p99 ms", "max", "MB", "peak", "after", ""]);
await runAll(false, clientScenarios.filter(({ attack }) => isWanted(attack)));
await runAll(true, []);
console.log(failed === 0 ? "\nall ok" : `\n${failed} not ok`);
process.exitCode = failed === 0 ? 0 : 1;

/** One proxy, in peace and under each attack; the control plane last, over the given form of the protocol. */
async function runAll(isDelta: boolean, clients: readonly ClientScenario[]): Promise<void> {
  const confusions = controlPlaneScenarios.filter(({ garbage }) => isWanted(garbage));
  if (clients.length + confusions.length === 0) return;
  const rig = await HostileRig.start({ ...options, isDelta });
  try {
    const form = isDelta ? "delta" : "state of the world";
    // The first round warms the proxy up.
    await rig.measureUndisturbed(options.holdMs / 2);
    const peace = await rig.measureUndisturbed(options.holdMs);
    const peaceP99 = peace.load.p99;
    report(`in peace, ${form}`, peace, { peaceP99: Number.POSITIVE_INFINITY, noiseMs, clients: 0 });
    for (const scenario of clients) {
      report(scenario.title, await rig.attack(scenario), { peaceP99, noiseMs, clients: scenario.clients });
    }
    for (const scenario of confusions) {
      const judged = { peaceP99, noiseMs, clients: 0, scenario };
      report(`${form}: ${scenario.title}`, await rig.confuse(scenario), judged);
    }
  } finally {
    await rig.stop();
  }
}

function report(title: string, outcome: Outcome, judged: Judged & { readonly scenario?: ControlPlaneScenario }): void {
  const { load, memory, seen, heard } = outcome;
  const faults = findFaults(outcome, judged);
  if (faults.length > 0) failed += 1;
  const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(0);
  printRow([
    title,
    String(load.sent),
    String(load.sent - load.answered),
    load.p50.toFixed(1),
    load.p99.toFixed(1),
    load.longest.toFixed(0),
    megabytes(memory.before),
    megabytes(memory.peak),
    megabytes(memory.after),
    faults.length === 0 ? "ok" : "NOT OK",
  ]);
  const came = Object.entries(seen).map(([what, count]) => `${what} ${count}`);
  if (heard !== undefined) came.push(`streams ${heard.streams}`, `acknowledged ${heard.acknowledged}`, `refused ${heard.refused}`);
  if (came.length > 0) console.log(`    ${came.join(", ")}`);
  for (const fault of faults) console.log(`    ${fault}`);
}

function printRow(cells: readonly string[]): void {
  console.log(cells.map((cell, index) => (index === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[index] ?? 8))).join(""));
}
