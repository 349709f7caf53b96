/** What is wrong with an outcome. */
import type { Outcome } from "./hostile-rig.ts";
import type { ControlPlaneScenario } from "./scenarios.ts";

export interface Judged {
  /** In peace, in milliseconds; infinite where times are not judged. */
  readonly peaceP99: number;
  /** What p99 may be more in any case. */
  readonly noiseMs: number;
  /** Attackers at once. */
  readonly clients: number;
  /** What attackers have to see. */
  readonly sees?: string | undefined;
  readonly scenario?: ControlPlaneScenario;
}

const megabyte = 1e6;
/** What an attack may cost whatever its size, and for each connection. */
const memoryLimit = { base: 250 * megabyte, client: 0.06 * megabyte } as const;
/** 50 MB of configuration are several times as much when they are read. */
const configurationLimit = 900 * megabyte;
/** Reconnections in some seconds: waits are random, begin at up to 500 ms, and double where nothing was learnt. */
const mostStreams = 60;

export function findFaults(
  outcome: Outcome,
  { peaceP99, noiseMs, clients, sees, scenario }: Judged,
): readonly string[] {
  const { load, memory, leftOver, heard } = outcome;
  const faults: string[] = [];
  if (load.answered !== load.sent) faults.push(`requests failed: ${JSON.stringify(load.failures)}`);
  const limit = Math.max(peaceP99 * 2, peaceP99 + noiseMs);
  if (load.p99 > limit) faults.push(`p99 is ${load.p99.toFixed(1)} ms, above ${limit.toFixed(1)} ms`);
  const allowed = scenario === undefined ? memoryLimit.base + clients * memoryLimit.client : configurationLimit;
  const grown = memory.peak - memory.before;
  if (grown > allowed) faults.push(`memory grew by ${(grown / megabyte).toFixed(0)} MB`);
  for (const [name, value] of Object.entries(leftOver)) faults.push(`${name} is still ${value}`);
  if (sees !== undefined && outcome.seen[sees] === undefined) faults.push(`no attacker has seen "${sees}"`);
  if (scenario === undefined || heard === undefined) return faults;
  if (scenario.outcome === "refused" && (heard.refused === 0 || heard.reasons.some((reason) => reason === "")))
    faults.push("nothing was refused, or without a reason");
  if (scenario.outcome === "streams lost" && heard.streams === 0) faults.push("no stream was opened anew");
  if (heard.streams > mostStreams) faults.push(`${heard.streams} streams were opened`);
  return faults;
}
