/** Brings a world to the proxy in the order in which nothing is missing: what is new first, what is gone last. */
import type { ResourceKind } from "./changes.ts";
import type { ModelControlPlane } from "./control-plane.ts";
import type { History } from "./history.ts";
import type { ResourceBuilder } from "./resource-builder.ts";
import type { World } from "./world.ts";

export interface Deployment {
  readonly history: History;
  readonly controlPlane: ModelControlPlane;
  readonly builder: ResourceBuilder;
  /** What a proxy may take, after its acknowledgement, until it does as it said. */
  readonly grace: () => Promise<void>;
}

/** For an acknowledgement; a proxy that has not come by then never will. */
const limitMs = 60_000;

/**
 * Three worlds: with what is new of clusters, then with all else that is new, then without the clusters that are gone.
 * Resolves when the proxy has acknowledged the last. Rejects where an acknowledgement does not come.
 */
export async function deploy(after: World, deployment: Deployment): Promise<void> {
  const { history } = deployment;
  const before = history.newest;
  const clusters = joinClusters(before.clusters, after.clusters);
  await advance({ ...before, clusters, upstreams: after.upstreams }, deployment, sendClusters);
  await advance({ ...after, clusters }, deployment, sendListeners);
  if (clusters.size > after.clusters.size) await advance(after, deployment, sendClusters);
}

/** The clusters of both; the same map where the later one has nothing else, as worlds share what they have in common. */
function joinClusters(before: World["clusters"], after: World["clusters"]): World["clusters"] {
  const isKnown = [...after].every(([name, cluster]) => before.get(name) === cluster);
  return isKnown ? before : new Map([...before, ...after]);
}

type Send = (before: World, after: World, deployment: Deployment) => Promise<void>;

async function advance(after: World, deployment: Deployment, send: Send): Promise<void> {
  const { history, grace } = deployment;
  const before = history.newest;
  history.push(after);
  await send(before, after, deployment);
  await grace();
  history.settle();
}

async function sendClusters(before: World, after: World, { controlPlane, builder }: Deployment): Promise<void> {
  const [old, resources] = [builder.build(before), builder.build(after)];
  controlPlane.set("cds", resources.cds);
  controlPlane.set("eds", resources.eds);
  controlPlane.push("cds");
  await settle(controlPlane, "cds", [...resources.cds.keys()]);
  // A cluster that was changed waits for its endpoints anew, and whoever has them already does not ask for them.
  const isChanged = (name: string): boolean => !isSame(old.cds.get(name), resources.cds.get(name));
  controlPlane.push("eds", [...resources.eds.keys()].filter(isChanged));
  await settle(controlPlane, "eds", [...resources.eds.keys()]);
}

async function sendListeners(_before: World, after: World, { controlPlane, builder }: Deployment): Promise<void> {
  const resources = builder.build(after);
  for (const kind of ["sds", "rds", "lds"] as const) {
    controlPlane.set(kind, resources[kind]);
    controlPlane.push(kind);
  }
  await settle(controlPlane, "lds", [...after.listeners.keys()]);
  await settle(controlPlane, "rds", listUsed(after, "rds"));
  await settle(controlPlane, "sds", listUsed(after, "sds"));
}

async function settle(controlPlane: ModelControlPlane, kind: ResourceKind, names: readonly string[]): Promise<void> {
  // What nobody uses a proxy does not ask for.
  const isAsked = names.length > 0 || kind === "cds" || kind === "lds";
  const isSettled = !isAsked || (await controlPlane.settled(kind, names, limitMs));
  const refused = controlPlane.rejections.splice(0);
  if (refused.length > 0) throw new Error(`refused: ${refused.map(({ message }) => message).join("; ")}`);
  if (!isSettled) throw new Error(`${kind} was not acknowledged within ${limitMs} ms: ${names.join(", ")}`);
}

/** Names of route tables or of secrets that listeners ask for. */
export function listUsed({ listeners }: World, kind: "rds" | "sds"): readonly string[] {
  const chains = [...listeners.values()].flatMap((listener) => listener.chains);
  const names = chains.map((chain) => {
    if (chain.kind === "tcp") return undefined;
    if (kind === "sds") return chain.secret;
    return chain.routes.kind === "rds" ? chain.routes.table : undefined;
  });
  return [...new Set(names.filter((name) => name !== undefined))];
}

function isSame(one: Uint8Array | undefined, other: Uint8Array | undefined): boolean {
  return one !== undefined && other !== undefined && Buffer.compare(one, other) === 0;
}
