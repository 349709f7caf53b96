import { setTimeout as sleep } from "node:timers/promises";
import { formatMs, percentile } from "../../statistics.ts";
import { measure, takeUntilQuiet } from "../measure.ts";
import { buildPlainMesh, plainService } from "../meshes/plain-mesh.ts";
import { nowMs } from "../proxies/simulated-proxy.ts";
import { changeRoute } from "./changes.ts";
import type { Scenario, ScenarioContext } from "./scenario.ts";

/** Proxies that stop reading, and no more than half of all. */
const mostSlow = 50;
/** Enough to fill what a connection takes without being read. */
const leastChanges = 8;
const betweenChangesMs = 200;

/** Some proxies stop reading: what the others notice, how memory grows, and when the streams end. */
export const slowReaders: Scenario = {
  name: "slow-readers",
  title: "slow readers",
  buildMesh: buildPlainMesh,
  needsOwnServer: true,
  async run(context) {
    const { rig, size, pace, progress } = context;
    const slowCount = Math.min(mostSlow, Math.floor(size.proxies / 2));
    const undisturbed = await changeRoutes(context);
    await takeUntilQuiet(rig);
    await rig.fleet.stall(slowCount);
    const before = await rig.server.memory();
    let after = before;
    const figures = await measure(rig, async () => {
      const latencies = await changeRoutes(context);
      after = await rig.server.memory();
      progress(`slow readers: waiting until ${slowCount} streams are ended`);
      return latencies;
    });
    let { endedStreams = 0, connected = 0 } = figures;
    const limitMs = nowMs() + pace.stallLimitMs;
    while (endedStreams < slowCount && nowMs() < limitMs) {
      await sleep(250);
      const reading = await rig.fleet.take();
      endedStreams += reading.ended;
      connected = reading.connected;
    }
    return {
      ...figures,
      endedStreams,
      connected,
      undisturbedP99Ms: percentile(undisturbed, 0.99),
      rssGrowthBytes: after.rssBytes - before.rssBytes,
      ...(after.heapBytes === undefined || before.heapBytes === undefined
        ? {}
        : { heapGrowthBytes: after.heapBytes - before.heapBytes }),
    };
  },
};

async function changeRoutes({ rig, size, pace, progress, nextSerial }: ScenarioContext): Promise<readonly number[]> {
  const all: number[] = [];
  for (let index = 0; index < Math.max(leastChanges, pace.changes); index += 1) {
    const serial = nextSerial();
    const { objects, conditions } = changeRoute(plainService(serial % size.services), serial);
    const latencies = await rig.change(objects, { conditions });
    all.push(...latencies);
    progress(`slow readers: change ${index + 1}, p99 ${formatMs(percentile(latencies, 0.99))}`);
    await sleep(betweenChangesMs);
  }
  return all;
}
