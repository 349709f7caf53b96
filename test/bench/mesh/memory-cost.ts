/** What one more proxy, service and endpoint cost in memory: differences between sizes, each after a collection. */
import { type Figures, medianFigures } from "./figures.ts";
import { takeUntilQuiet } from "./measure.ts";
import type { MeshSize } from "./meshes/mesh.ts";
import { buildPlainMesh } from "./meshes/plain-mesh.ts";
import { FleetLink } from "./proxies/fleet-link.ts";
import type { Row } from "./results.ts";
import { createRig } from "./rig.ts";
import type { RunOptions } from "./run-scenarios.ts";
import type { ServerMemory } from "./servers/mesh-server.ts";
import { startServer } from "./servers/start-server.ts";

/** Enough that everything is made and encoded, and few enough to count for nothing. */
const fewProxies = 10;
const moreEndpoints = 8;

export const memoryRows = ["one more proxy", "one more service", "one more endpoint"] as const;

type Options = Omit<RunOptions, "scenarios">;

/** Three rows with `rssBytes` and `heapBytes` each. */
export async function measureMemoryCost(options: Options): Promise<readonly Row[]> {
  const { size, rounds } = options;
  const all: Figures[][] = memoryRows.map(() => []);
  for (let round = 1; round <= rounds; round += 1) {
    options.progress(`memory, round ${round} of ${rounds}`);
    const few = { ...size, proxies: Math.min(fewProxies, size.proxies) };
    const half = Math.max(1, Math.floor(size.services / 2));
    const [base, whole] = await readBoth(options, few, size);
    const halved = await readOne(options, { ...few, services: half });
    const grown = await readOne(options, { ...few, endpoints: size.endpoints + moreEndpoints });
    all[0]?.push(divide(base, whole, size.proxies - few.proxies));
    all[1]?.push(divide(halved, base, size.services - half));
    all[2]?.push(divide(base, grown, size.services * moreEndpoints));
  }
  return memoryRows.map((scenario, index) => ({ scenario, figures: medianFigures(all[index] ?? []) }));
}

function divide(less: ServerMemory, more: ServerMemory, count: number): Figures {
  const parts = Math.max(1, count);
  return {
    rssBytes: (more.rssBytes - less.rssBytes) / parts,
    ...(more.heapBytes === undefined || less.heapBytes === undefined
      ? {}
      : { heapBytes: (more.heapBytes - less.heapBytes) / parts }),
  };
}

async function readOne(options: Options, size: MeshSize): Promise<ServerMemory> {
  const [memory] = await readBoth(options, size, size);
  return memory;
}

/** Memory with as many proxies as `first` says, and then with as many as `second` says, on one server. */
async function readBoth(
  { server: choice, variant, progress }: Options,
  first: MeshSize,
  second: MeshSize,
): Promise<readonly [ServerMemory, ServerMemory]> {
  const mesh = buildPlainMesh(first);
  const server = await startServer(choice, mesh, progress);
  const fleet = new FleetLink();
  const rig = createRig(server, fleet, variant);
  try {
    await rig.connect(mesh);
    await takeUntilQuiet(rig);
    const before = await server.memory();
    if (second.proxies === first.proxies) return [before, before];
    await rig.connect(buildPlainMesh(second));
    await takeUntilQuiet(rig);
    return [before, await server.memory()];
  } finally {
    await rig.stop();
    await fleet.stop();
  }
}
