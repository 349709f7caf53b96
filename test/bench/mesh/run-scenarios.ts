/** Runs scenarios on servers of their own or on one that several share, and gives the medians over the rounds. */
import { join } from "node:path";
import { type Figures, medianFigures } from "./figures.ts";
import { measure } from "./measure.ts";
import type { MeshSize } from "./meshes/mesh.ts";
import { FleetLink } from "./proxies/fleet-link.ts";
import type { Variant } from "./proxies/types.ts";
import type { Row } from "./results.ts";
import { createRig, type Rig } from "./rig.ts";
import type { Pace, Scenario, ScenarioContext } from "./scenarios/scenario.ts";
import { type ServerChoice, startServer } from "./servers/start-server.ts";

export interface RunOptions {
  readonly server: ServerChoice;
  readonly variant: Variant;
  readonly size: MeshSize;
  readonly pace: Pace;
  readonly rounds: number;
  readonly scenarios: readonly Scenario[];
  /** Directory for a .cpuprofile of each scenario; none where not given. */
  readonly profileDir?: string;
  /** One server for all scenarios of a mesh: for who looks at what is sent and not at figures. */
  readonly sharesServers?: boolean;
  readonly progress: (text: string) => void;
}

export async function runScenarios(options: RunOptions): Promise<readonly Row[]> {
  const { scenarios, rounds } = options;
  const all = new Map<string, Figures[]>(scenarios.map(({ name }) => [name, []]));
  const fleet = new FleetLink();
  try {
    for (let round = 1; round <= rounds; round += 1) {
      const progress = (text: string): void => options.progress(rounds === 1 ? text : `round ${round}: ${text}`);
      for (const group of groupByServer(options)) {
        const figures = await runGroup(group, fleet, { ...options, progress });
        for (const [name, found] of figures) all.get(name)?.push(found);
      }
    }
  } finally {
    await fleet.stop();
  }
  return [...all].map(([scenario, found]) => ({ scenario, figures: medianFigures(found) }));
}

/** Scenarios of one mesh share a server, except for those that want one for themselves. */
function groupByServer({ scenarios, sharesServers = false }: RunOptions): readonly (readonly Scenario[])[] {
  const isAlone = ({ needsOwnServer }: Scenario): boolean => needsOwnServer && !sharesServers;
  const shared = Map.groupBy(
    scenarios.filter((scenario) => !isAlone(scenario)),
    ({ buildMesh }) => buildMesh,
  );
  return [...shared.values(), ...scenarios.filter(isAlone).map((one) => [one])];
}

async function runGroup(
  group: readonly Scenario[],
  fleet: FleetLink,
  options: RunOptions,
): Promise<ReadonlyMap<string, Figures>> {
  const { server: choice, variant, size, progress } = options;
  const [first] = group;
  if (first === undefined) return new Map();
  const mesh = first.buildMesh(size);
  progress(`starting a server with ${mesh.objects.length} objects (${choice.source})`);
  const server = await startServer(choice, mesh, progress);
  const rig = createRig(server, fleet, variant);
  const found = new Map<string, Figures>();
  try {
    progress(`connecting ${mesh.groups.reduce((sum, { count }) => sum + count, 0)} proxies`);
    const connect = (): Promise<Figures> => measure(rig, () => rig.connect(mesh));
    const isStorm = group.some(({ name }) => name === "storm");
    const storm = isStorm ? await profiled(rig, options, "storm", connect) : await connect();
    let serial = 0;
    const context: ScenarioContext = {
      ...{ rig, size, mesh, storm, progress, pace: options.pace },
      nextSerial: () => ++serial,
    };
    for (const scenario of group) {
      progress(scenario.title);
      const run = (): Promise<Figures> => scenario.run(context);
      found.set(
        scenario.name,
        scenario.name === "storm" ? await run() : await profiled(rig, options, scenario.name, run),
      );
    }
    return found;
  } finally {
    await rig.stop();
  }
}

async function profiled<Value>(
  { server }: Rig,
  { profileDir }: RunOptions,
  name: string,
  act: () => Promise<Value>,
): Promise<Value> {
  if (profileDir === undefined) return act();
  await server.startProfile();
  const value = await act();
  await server.stopProfile(join(profileDir, `${name}.cpuprofile`));
  return value;
}
