import { setTimeout as sleep } from "node:timers/promises";
import type { Figures } from "../figures.ts";
import { measure } from "../measure.ts";
import type { ServiceName } from "../meshes/mesh-objects.ts";
import { buildPlainMesh, listAddresses } from "../meshes/plain-mesh.ts";
import { nowMs } from "../proxies/simulated-proxy.ts";
import { changeEndpoints, changeRoute, changeRule } from "./changes.ts";
import type { Change } from "./repeat-changes.ts";
import type { Scenario, ScenarioContext } from "./scenario.ts";

const endpointsPerSecond = 50;
const ticksPerConfiguration = 10;
const tickMs = 1000 / endpointsPerSecond;
/** Changes that are followed to every proxy: one of endpoints and one of configuration for each second. */
const ticksPerProbe = endpointsPerSecond;

/** Endpoints fifty times and configuration five times a second, for some time; memory at both ends. */
export const churn: Scenario = {
  name: "churn",
  title: "churn",
  buildMesh: buildPlainMesh,
  needsOwnServer: true,
  async run(context) {
    const { rig, pace } = context;
    const readAtRest = async (): Promise<Memory> => {
      await sleep(pace.restMs);
      return await rig.server.memory();
    };
    const before = await readAtRest();
    let changes = 0;
    const figures = await measure(rig, async () => {
      const result = await drive(context, pace.churnSeconds);
      changes = result.changes;
      return result.latencies;
    });
    const after = await readAtRest();
    return { ...figures, ...describeMemory(before, after), changes };
  },
};

interface Memory {
  readonly rssBytes: number;
  readonly heapBytes?: number;
}

function describeMemory(before: Memory, after: Memory): Figures {
  return {
    ...{ rssStartBytes: before.rssBytes, rssBytes: after.rssBytes, rssGrowthBytes: after.rssBytes - before.rssBytes },
    ...(before.heapBytes === undefined || after.heapBytes === undefined
      ? {}
      : {
          ...{ heapStartBytes: before.heapBytes, heapBytes: after.heapBytes },
          heapGrowthBytes: after.heapBytes - before.heapBytes,
        }),
  };
}

async function drive(
  context: ScenarioContext,
  seconds: number,
): Promise<{ readonly latencies: readonly number[]; readonly changes: number }> {
  const { rig, progress } = context;
  const ticks = Math.round(seconds * endpointsPerSecond);
  const startMs = nowMs();
  const writes = new Set<Promise<unknown>>();
  const probes: Promise<readonly number[]>[] = [];
  let changes = 0;
  let awaited = 0;
  const write = (change: Change, isProbe: boolean): void => {
    changes += 1;
    if (isProbe) {
      awaited += 1;
      const probe = rig.change(change.objects, change);
      probes.push(
        probe.finally(() => {
          awaited -= 1;
        }),
      );
      return;
    }
    const writing = rig.server.write(change.objects).finally(() => writes.delete(writing));
    writes.add(writing);
  };
  let probe = 0;
  for (let tick = 0; tick < ticks; tick += 1) {
    const wait = startMs + tick * tickMs - nowMs();
    if (wait > 0) await sleep(wait);
    // Another round through the services would change what is still awaited.
    const isProbe =
      tick % ticksPerProbe === 0 && (probe < firstServices(context.mesh.services.length) || awaited === 0);
    write(buildEndpointTurn(context, isProbe ? probe : undefined), isProbe);
    if (tick % ticksPerConfiguration === 0)
      write(buildConfigurationTurn(context, isProbe ? probe : undefined), isProbe);
    if (isProbe) probe += 1;
    // A source that is slower than the changes must not heap them up.
    while (writes.size > mostWrites) await Promise.race(writes);
    if (tick % (endpointsPerSecond * 10) === 0) progress(`churn, second ${tick / endpointsPerSecond} of ${seconds}`);
  }
  await Promise.all(writes);
  return { latencies: (await Promise.all(probes)).flat(), changes };
}

const mostWrites = 100;
/** The share of services whose changes are followed: nothing else changes them before a change has arrived. */
const probedShare = 0.5;

function buildEndpointTurn(context: ScenarioContext, probe: number | undefined): Change {
  const serial = context.nextSerial();
  const { service, index } = pickService(context, serial, probe);
  return changeEndpoints(service, listAddresses(index, context.size.endpoints), serial);
}

/** Routes mostly, and a rule now and then. */
function buildConfigurationTurn(context: ScenarioContext, probe: number | undefined): Change {
  const serial = context.nextSerial();
  const { service } = pickService(context, serial, probe);
  return serial % 5 === 0 && probe === undefined ? changeRule(service, serial) : changeRoute(service, serial);
}

/** How many services are followed. */
function firstServices(services: number): number {
  return Math.max(1, Math.floor(services * probedShare));
}

/** Followed changes go to the first services in turn, the others to the rest. */
function pickService(
  { mesh: { services } }: ScenarioContext,
  serial: number,
  probe: number | undefined,
): { readonly service: ServiceName; readonly index: number } {
  const first = firstServices(services.length);
  const index = probe === undefined ? first + (serial % Math.max(1, services.length - first)) : probe % first;
  const service = services[index] ?? services[0];
  if (service === undefined) throw new Error("a mesh without services cannot change");
  return { service, index };
}
