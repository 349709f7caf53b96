import { setTimeout as sleep } from "node:timers/promises";
import { percentile } from "../statistics.ts";
import type { Figures } from "./figures.ts";
import type { FleetUsage } from "./proxies/fleet-link.ts";
import type { Rig } from "./rig.ts";

/** Trailing work (acknowledgements, freed buffers) is charged to what caused it: nothing comes any more for so long. */
const quietMs = 400;
/** Such waits at most. */
const mostQuietRounds = 50;

/** What it costs to do something: `act` gives the milliseconds of each proxy. */
export async function measure(rig: Rig, act: () => Promise<readonly number[]>): Promise<Figures> {
  return (await observe(rig, act)).figures;
}

/** The same, with the bytes that each group of proxies got. */
export async function observe(
  rig: Rig,
  act: () => Promise<readonly number[]>,
): Promise<{ readonly figures: Figures; readonly bytes: Counts }> {
  const [before, client] = [await rig.server.usage(), await rig.fleet.take()];
  const latencies = await act();
  const reading = await takeUntilQuiet(rig);
  const after = await rig.server.usage();
  const { cds, eds, lds, rds } = reading.messages;
  const { loop } = after;
  const figures = {
    ...describeLatencies(latencies),
    cpuSeconds: after.cpuSeconds - before.cpuSeconds,
    clientCpuSeconds: reading.cpuSeconds - client.cpuSeconds,
    bytes: sum(reading.bytes),
    ...{ cds, eds, lds, rds, resources: sum(reading.resources) },
    rssBytes: after.rssBytes,
    ...(loop === undefined ? {} : { loopP99Ms: loop.p99Ms, loopMaxMs: loop.maxMs }),
    connected: reading.connected,
    endedStreams: reading.ended,
  };
  return { figures, bytes: reading.bytes };
}

export function describeLatencies(latencies: readonly number[]): Figures {
  return { p50Ms: percentile(latencies, 0.5), p99Ms: percentile(latencies, 0.99), maxMs: percentile(latencies, 1) };
}

/** Everything that has come in since the last reading, once nothing more does. */
export async function takeUntilQuiet({ fleet }: Rig): Promise<FleetUsage> {
  let all = await fleet.take();
  for (let round = 0; round < mostQuietRounds; round += 1) {
    await sleep(quietMs);
    const more = await fleet.take();
    all = add(all, more);
    if (sum(more.messages) === 0) break;
  }
  return all;
}

function add(first: FleetUsage, second: FleetUsage): FleetUsage {
  return {
    ...second,
    bytes: addEach(first.bytes, second.bytes),
    messages: addEach(first.messages, second.messages) as FleetUsage["messages"],
    resources: addEach(first.resources, second.resources) as FleetUsage["resources"],
    ended: first.ended + second.ended,
  };
}

type Counts = Readonly<Record<string, number>>;

function addEach(first: Counts, second: Counts): Counts {
  const names = [...new Set([...Object.keys(first), ...Object.keys(second)])];
  return Object.fromEntries(names.map((name) => [name, (first[name] ?? 0) + (second[name] ?? 0)]));
}

export function sum(counts: Counts): number {
  return Object.values(counts).reduce((total, value) => total + value, 0);
}
