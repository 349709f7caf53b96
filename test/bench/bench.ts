/**
 * `make bench`: what it costs to configure many sidecars at once and to deliver one change to all of them. The load
 * comes from this process, the server is a process of its own; both share the machine, so compare within one run.
 *
 *   node test/bench/bench.ts [--services 1000] [--endpoints 2] [--proxies 50,200]
 */
import { parseArgs } from "node:util";
import { Fleet, type Latencies } from "./fleet.ts";
import { benchPort, buildEndpoints, buildVirtualService, type MeshSize, serviceHost } from "./large-mesh.ts";
import type { ShortType } from "./proxy-client.ts";
import { ServerLink } from "./server-link.ts";
import { formatBytes, formatMs } from "./statistics.ts";

interface Row {
  readonly scenario: string;
  readonly proxies: number;
  readonly latencies: Latencies;
  readonly cpuSeconds: number;
  /** Time spent making and encoding configuration, of all proxies together. */
  readonly pushSeconds: number;
  readonly bytes: number;
  readonly messages: string;
  readonly rssBytes: number;
}

const { values } = parseArgs({
  options: {
    services: { type: "string", default: "1000" },
    endpoints: { type: "string", default: "2" },
    proxies: { type: "string", default: "50,200" },
  },
});
const size: MeshSize = { services: Number(values.services), endpointsPerService: Number(values.endpoints) };
const fleetSizes = values.proxies.split(",").map(Number);

/** Time for trailing work (acknowledgements, freed buffers) to be charged to the scenario that caused it. */
const settleMs = 1_000;
const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, settleMs));

const rows: Row[] = [];
for (const proxies of fleetSizes) rows.push(...(await measure(proxies)));
printTable(rows);

async function measure(proxies: number): Promise<readonly Row[]> {
  const server = await ServerLink.start(size);
  const hosts = Array.from({ length: size.services }, (_, index) => serviceHost(index));
  const fleet = new Fleet({
    address: server.address,
    proxies,
    edsNames: hosts.map((host) => `outbound|${benchPort}||${host}`),
    rdsNames: [String(benchPort)],
  });
  const found: Row[] = [];

  async function run(scenario: string, act: () => Promise<Latencies>): Promise<void> {
    fleet.take();
    const before = await server.usage();
    const latencies = await act();
    await settle();
    const after = await server.usage();
    const { bytes, messages } = fleet.take();
    const counts = Object.entries(messages).filter(([, count]) => count > 0);
    found.push({
      scenario,
      proxies,
      latencies,
      cpuSeconds: after.cpuSeconds - before.cpuSeconds,
      pushSeconds: after.pushSeconds - before.pushSeconds,
      bytes,
      messages: counts.map(([type, count]) => `${count} ${type}`).join(" "),
      rssBytes: after.rssBytes,
    });
  }

  async function change(type: ShortType, objects: readonly object[]): Promise<Latencies> {
    return fleet.waitFor(type, await server.apply(objects));
  }

  try {
    await run("connect all at once", () => fleet.connect());
    await run("endpoint change", () => change("eds", [buildEndpoints(7, size.endpointsPerService + 1)]));
    await run("VirtualService change", () => change("rds", [buildVirtualService(7, 9)]));
    return found;
  } finally {
    fleet.close();
    await server.stop();
  }
}

function printTable(all: readonly Row[]): void {
  console.log(`\n${size.services} services, ${size.endpointsPerService} endpoints each\n`);
  const head = ["scenario", "proxies", "p50", "p99", "last", "CPU s", "making", "sent", "messages", "resident"];
  const lines = all.map((row) => [
    row.scenario,
    String(row.proxies),
    formatMs(row.latencies.p50Ms),
    formatMs(row.latencies.p99Ms),
    formatMs(row.latencies.lastMs),
    row.cpuSeconds.toFixed(2),
    formatMs(row.pushSeconds * 1000),
    formatBytes(row.bytes),
    row.messages,
    formatBytes(row.rssBytes),
  ]);
  const widths = head.map((title, column) => Math.max(title.length, ...lines.map((line) => line[column]?.length ?? 0)));
  for (const line of [head, ...lines])
    console.log(line.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  "));
}
