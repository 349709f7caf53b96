/** Brings a world to the proxy in the order in which nothing is missing: what is new first, what is gone last. */
import type { IssuedCertificate } from "../../support/test-authority.ts";
import type { ResourceKind } from "./changes.ts";
import type { ModelControlPlane } from "./control-plane.ts";
import { buildAssignment, buildCluster, type Ports } from "./wire-clusters.ts";
import { buildListener, buildSecret } from "./wire-listeners.ts";
import { buildTable } from "./wire-routes.ts";
import type { ClusterSpec, HttpChain, World } from "./world.ts";

export interface DeployOptions {
  readonly controlPlane: ModelControlPlane;
  readonly ports: Ports;
  /** By common name. */
  readonly certificates: ReadonlyMap<string, IssuedCertificate>;
}

/** For an acknowledgement; a proxy that has not come by then never will. */
const limitMs = 60_000;

export type Resources = Readonly<Record<ResourceKind, ReadonlyMap<string, Uint8Array>>>;

export function buildResources(world: World, { ports, certificates }: DeployOptions): Resources {
  const clusters = [...world.clusters.values()];
  return {
    cds: new Map(clusters.map((cluster) => [cluster.name, buildCluster(cluster, ports)])),
    eds: new Map(
      clusters.filter(({ isByEds }) => isByEds).map((cluster) => [cluster.name, buildAssignment(cluster, ports)]),
    ),
    lds: new Map([...world.listeners.values()].map((listener) => [listener.slot, buildListener(listener, ports)])),
    rds: new Map([...world.tables.values()].map((table) => [table.name, buildTable(table)])),
    sds: new Map(
      [...world.certificates].map(([secret, name]) => {
        const certificate = certificates.get(name);
        if (certificate === undefined) throw new Error(`there is no certificate ${name}`);
        return [secret, buildSecret(secret, certificate)];
      }),
    ),
  };
}

/** Resolves when the proxy has acknowledged all of it. Rejects where that does not come. */
export async function deploy(before: World | undefined, after: World, options: DeployOptions): Promise<void> {
  const { controlPlane } = options;
  const kept = before?.clusters ?? new Map<string, ClusterSpec>();
  const both = { ...after, clusters: new Map([...kept, ...after.clusters]) };
  const resources = buildResources(both, options);
  const old = before === undefined ? undefined : buildResources(before, options);
  const isChanged = (name: string): boolean => !isSame(old?.cds.get(name), resources.cds.get(name));
  controlPlane.set("cds", resources.cds);
  controlPlane.set("eds", resources.eds);
  controlPlane.push("cds");
  await settle(controlPlane, "cds", [...resources.cds.keys()]);
  // A cluster that was changed waits for its endpoints anew, and whoever has them already does not ask for them.
  controlPlane.push("eds", [...resources.eds.keys()].filter(isChanged));
  await settle(controlPlane, "eds", [...resources.eds.keys()]);
  for (const kind of ["sds", "rds", "lds"] as const) {
    controlPlane.set(kind, resources[kind]);
    controlPlane.push(kind);
  }
  await settle(controlPlane, "lds", [...after.listeners.keys()]);
  await settle(
    controlPlane,
    "rds",
    usedBy(after, ({ routes }) => (routes.kind === "rds" ? routes.table : undefined)),
  );
  await settle(
    controlPlane,
    "sds",
    usedBy(after, ({ secret }) => secret),
  );
  const final = buildResources(after, options);
  controlPlane.set("cds", final.cds);
  controlPlane.push("cds");
  await settle(controlPlane, "cds", [...final.cds.keys()]);
  controlPlane.set("eds", final.eds);
}

async function settle(controlPlane: ModelControlPlane, kind: ResourceKind, names: readonly string[]): Promise<void> {
  const isSettled = await controlPlane.settled(kind, names, limitMs);
  const refused = controlPlane.rejections.splice(0);
  if (refused.length > 0) throw new Error(`refused: ${refused.map(({ message }) => message).join("; ")}`);
  if (!isSettled) throw new Error(`${kind} was not acknowledged within ${limitMs} ms: ${names.join(", ")}`);
}

function usedBy(world: World, nameOf: (chain: HttpChain) => string | undefined): readonly string[] {
  const chains = [...world.listeners.values()].flatMap((listener) => listener.chains);
  const names = chains.map((chain) => (chain.kind === "http" ? nameOf(chain) : undefined));
  return [...new Set(names.filter((name) => name !== undefined))];
}

function isSame(one: Uint8Array | undefined, other: Uint8Array | undefined): boolean {
  return one !== undefined && other !== undefined && Buffer.compare(one, other) === 0;
}
