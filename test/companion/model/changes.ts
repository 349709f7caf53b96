/** What may happen next: a change of the world, or of the control plane alone. */
import type { Draw } from "./draw.ts";
import { changeEndpoints, clusterNames, drawCluster, drawPolicy, upstreamsOf } from "./draw-clusters.ts";
import {
  allSlots,
  type ClusterNames,
  changeListener,
  drawListener,
  plainSlots,
  secretNames,
  tableNames,
} from "./draw-listeners.ts";
import { changeTable, drawTable } from "./draw-routes.ts";
import type { ClusterSpec, Target, UpstreamState, World } from "./world.ts";

export type ResourceKind = "cds" | "eds" | "lds" | "rds" | "sds";

export interface Step {
  readonly name: string;
  /** The world after it. */
  readonly world: World;
  /**
   * How it comes about: by a push; by a push of what a proxy has to refuse, after which all is as it was; while the
   * control plane has lost its streams, or is not there at all.
   */
  readonly way: "push" | "refused" | "disconnect" | "restart";
  /** Of what is to be refused. */
  readonly kind: ResourceKind | undefined;
}

const [fewestHttp, mostHttp, mostTcp] = [4, 10, 4];

export function drawWorld(draw: Draw, upstreams: readonly string[], certificates: readonly string[]): World {
  const { random } = draw;
  const protocols = ["http1", "http1", "http1", "http2", "http2", "tcp", "tcp"] as const;
  const clusters = protocols.map((protocol) => drawCluster(draw, protocol, upstreams));
  const named: World = {
    upstreams: new Map(upstreams.map((name) => [name, "up"])),
    clusters: new Map(clusters.map((cluster) => [cluster.name, cluster])),
    tables: new Map(),
    listeners: new Map(),
    certificates: new Map(secretNames.map((name) => [name, random.pick(certificates)])),
  };
  const names = listNames(named);
  return {
    ...named,
    tables: new Map(tableNames.map((name) => [name, drawTable(draw, name, names.http)])),
    listeners: new Map(allSlots.map((slot) => [slot, drawListener(draw, slot, names)])),
  };
}

function listNames(world: World): ClusterNames {
  return { http: clusterNames(world, false), tcp: clusterNames(world, true) };
}

type Change = (world: World, draw: Draw, certificates: readonly string[]) => World;

/** By how often they come. */
const changes: readonly { readonly name: string; readonly times: number; readonly apply: Change }[] = [
  { name: "routes", times: 30, apply: alterTable },
  { name: "endpoints", times: 22, apply: alterEndpoints },
  { name: "an upstream", times: 12, apply: alterUpstream },
  { name: "a new cluster", times: 7, apply: addCluster },
  { name: "a cluster less", times: 7, apply: removeCluster },
  { name: "a cluster", times: 6, apply: alterCluster },
  { name: "a listener", times: 8, apply: alterListener },
  { name: "a listener more or less", times: 3, apply: toggleListener },
  { name: "a certificate", times: 4, apply: rotateCertificate },
];

export function drawStep(draw: Draw, world: World, certificates: readonly string[]): Step {
  const { random } = draw;
  const way = random.below(100);
  if (way < 5) {
    const kind = random.pick(["cds", "eds", "lds", "rds", "sds"] as const);
    return { name: `what is refused (${kind})`, world, way: "refused", kind };
  }
  const { name, apply } = random.pick(changes.flatMap((change) => Array.from({ length: change.times }, () => change)));
  const next = { name, world: apply(world, draw, certificates), kind: undefined };
  if (way < 7) return { ...next, name: `${name}, over a lost stream`, way: "disconnect" };
  if (way < 8) return { ...next, name: `${name}, over a restart`, way: "restart" };
  return { ...next, way: "push" };
}

function alterTable(world: World, draw: Draw): World {
  const { random } = draw;
  const { http } = listNames(world);
  const name = random.pick(tableNames);
  const table = world.tables.get(name);
  if (table === undefined) throw new Error(`there is no table ${name}`);
  const changed = random.chance(4) ? drawTable(draw, name, http) : changeTable(draw, table, http);
  return { ...world, tables: new Map(world.tables).set(name, changed) };
}

function withCluster(world: World, cluster: ClusterSpec): World {
  return { ...world, clusters: new Map(world.clusters).set(cluster.name, cluster) };
}

function alterEndpoints(world: World, draw: Draw): World {
  const cluster = draw.random.pick([...world.clusters.values()]);
  return withCluster(world, changeEndpoints(draw, cluster, [...world.upstreams.keys()]));
}

function alterUpstream(world: World, { random }: Draw): World {
  const troubled = [...world.upstreams].filter(([, state]) => state !== "up").map(([name]) => name);
  // Few have trouble at one time: otherwise nothing is left to be told from a failure.
  if (troubled.length > 3 || (troubled.length > 0 && random.chance(50))) {
    return { ...world, upstreams: new Map(world.upstreams).set(random.pick(troubled), "up") };
  }
  const name = random.pick([...world.upstreams.keys()]);
  const states: readonly UpstreamState[] = name.startsWith("tcp") ? ["up", "down"] : ["failing", "slow", "down"];
  return { ...world, upstreams: new Map(world.upstreams).set(name, random.pick(states)) };
}

/** A new cluster, with a route or a listener for it. */
function addCluster(world: World, draw: Draw): World {
  const { random } = draw;
  const { http, tcp } = listNames(world);
  const protocol = random.pick(["http1", "http1", "http2", "tcp"] as const);
  if (protocol === "tcp" ? tcp.length >= mostTcp : http.length >= mostHttp) return alterEndpoints(world, draw);
  const cluster = drawCluster(draw, protocol, upstreamsOf([...world.upstreams.keys()], protocol));
  const added = withCluster(world, cluster);
  return protocol === "tcp" ? alterListener(added, draw) : alterTable(added, draw);
}

function alterCluster(world: World, draw: Draw): World {
  const { random } = draw;
  const cluster = random.pick([...world.clusters.values()]);
  const kind = random.below(3);
  if (kind === 0) return withCluster(world, { ...cluster, isByEds: !cluster.isByEds });
  if (kind === 1) return withCluster(world, { ...cluster, policy: drawPolicy(draw) });
  const fallback = cluster.protocol === "tcp" ? undefined : random.pick([undefined, "none", "any", "v1"] as const);
  return withCluster(world, { ...cluster, panicThreshold: random.pick([0, 50, 80]), fallback });
}

/** A cluster goes; mostly what was sent there goes elsewhere before, and now and then it is forgotten. */
function removeCluster(world: World, draw: Draw): World {
  const { random } = draw;
  const { http, tcp } = listNames(world);
  if (http.length <= fewestHttp && tcp.length < 2) return alterEndpoints(world, draw);
  const gone = random.pick(http.length > fewestHttp ? http : tcp);
  const isTcp = tcp.includes(gone);
  const left = (isTcp ? tcp : http).filter((name) => name !== gone);
  const clusters = new Map([...world.clusters].filter(([name]) => name !== gone));
  if (random.chance(15)) return { ...world, clusters };
  return { ...replaceTargets(world, gone, random.pick(left)), clusters };
}

/** The same world with another cluster wherever one is named. */
function replaceTargets(world: World, from: string, to: string): World {
  const isNamed = (value: object): boolean => JSON.stringify(value).includes(`"${from}"`);
  const replace = <Value extends object>(value: Value): Value =>
    isNamed(value) ? (JSON.parse(JSON.stringify(value).replaceAll(`"${from}"`, `"${to}"`)) as Value) : value;
  return {
    ...world,
    tables: new Map([...world.tables].map(([name, table]) => [name, replace(table)])),
    listeners: new Map(
      [...world.listeners].map(([slot, listener]) => [
        slot,
        isNamed(listener) ? { ...listener, chains: listener.chains.map(replace) } : listener,
      ]),
    ),
  };
}

function alterListener(world: World, draw: Draw): World {
  const slots = [...world.listeners.keys()];
  const listener = world.listeners.get(draw.random.pick(slots));
  if (listener === undefined) return world;
  const changed = changeListener(draw, listener, listNames(world));
  return { ...world, listeners: new Map(world.listeners).set(listener.slot, changed) };
}

function toggleListener(world: World, draw: Draw): World {
  const listeners = new Map(world.listeners);
  const absent = allSlots.filter((slot) => !listeners.has(slot));
  if (absent.length > 0 && draw.random.chance(60)) {
    const slot = draw.random.pick(absent);
    listeners.set(slot, drawListener(draw, slot, listNames(world)));
    return { ...world, listeners };
  }
  // One stays, so that there is always somebody to ask.
  listeners.delete(draw.random.pick(allSlots.filter((slot) => slot !== plainSlots[0])));
  return { ...world, listeners };
}

function rotateCertificate(world: World, { random }: Draw, certificates: readonly string[]): World {
  return {
    ...world,
    certificates: new Map(world.certificates).set(random.pick(secretNames), random.pick(certificates)),
  };
}

/** Names of the clusters that a target may choose. */
export function targetClusters(target: Target): readonly string[] {
  if (target.kind === "header") return [];
  return target.kind === "cluster" ? [target.cluster] : target.parts.map(({ cluster }) => cluster);
}
