import { setTimeout as sleep } from "node:timers/promises";
import { percentile } from "../../statistics.ts";
import { measure, takeUntilQuiet } from "../measure.ts";
import type { Mesh, MeshSize } from "../meshes/mesh.ts";
import { buildPlainMesh, plainService } from "../meshes/plain-mesh.ts";
import type { ProxyGroup } from "../proxies/proxy-group.ts";
import { nowMs } from "../proxies/simulated-proxy.ts";
import { changeRoute } from "./changes.ts";
import type { Scenario, ScenarioContext } from "./scenario.ts";

const slow = "slow";
/** Proxies that stop reading, and no more than half of all. */
const mostSlow = 50;
/** Enough to fill what a connection takes without being read. */
const leastChanges = 8;
const betweenChangesMs = 200;

/** Some proxies stop reading: what the others notice, how memory grows, and when the streams end. */
export const slowReaders: Scenario = {
  name: "slow-readers",
  title: "slow readers",
  buildMesh: buildSlowMesh,
  needsOwnServer: true,
  async run(context) {
    const { rig, mesh, pace, progress } = context;
    const others = mesh.groups.flatMap(({ name }) => (name === slow ? [] : [name]));
    const slowCount = mesh.groups.find(({ name }) => name === slow)?.count ?? 0;
    const undisturbed = await changeRoutes(context, others);
    await takeUntilQuiet(rig);
    await rig.fleet.stall(slow);
    const before = await rig.server.memory();
    let after = before;
    const figures = await measure(rig, async () => {
      const latencies = await changeRoutes(context, others);
      after = await rig.server.memory();
      progress(`slow readers: waiting until ${slowCount} streams are ended`);
      return latencies;
    });
    let endedStreams = figures.endedStreams ?? 0;
    const limitMs = nowMs() + pace.stallLimitMs;
    while (endedStreams < slowCount && nowMs() < limitMs) {
      await sleep(250);
      endedStreams += (await rig.fleet.take()).ended;
    }
    return {
      ...figures,
      endedStreams,
      undisturbedP99Ms: percentile(undisturbed, 0.99),
      rssGrowthBytes: after.rssBytes - before.rssBytes,
      ...(after.heapBytes === undefined || before.heapBytes === undefined
        ? {}
        : { heapGrowthBytes: after.heapBytes - before.heapBytes }),
    };
  },
};

/** The plain mesh, where some of the proxies take little ahead of what they read. */
function buildSlowMesh(size: MeshSize): Mesh {
  const mesh = buildPlainMesh(size);
  const groups = mesh.groups.flatMap((group): readonly ProxyGroup[] => {
    const count = Math.min(mostSlow, Math.floor(group.count / 2));
    return [
      { ...group, count: group.count - count },
      { ...group, name: slow, count, windowBytes: 16_384 },
    ];
  });
  return { ...mesh, groups };
}

async function changeRoutes(
  { rig, size, pace, nextSerial }: ScenarioContext,
  groups: readonly string[],
): Promise<readonly number[]> {
  const all: number[] = [];
  for (let index = 0; index < Math.max(leastChanges, pace.changes); index += 1) {
    const serial = nextSerial();
    const { objects, conditions } = changeRoute(plainService(serial % size.services), serial);
    all.push(...(await rig.change(objects, { conditions, groups })));
    await sleep(betweenChangesMs);
  }
  return all;
}
