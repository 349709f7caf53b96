/** The statuses of Istio's objects: what is wrong with them, and on how many proxies they are live. */
import { isIstioKind, istioKinds } from "../api/known-kinds.ts";
import type { KubeClient } from "../kube/kube-client.ts";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import type { Snapshot } from "../snapshot/snapshot.ts";
import { createStatusWriter, type MeshView } from "../status/status-writer.ts";
import type { DiscoveryServer } from "../xds/discovery-server.ts";
import type { Leader } from "./leader.ts";
import type { Runner } from "./runners.ts";

export interface StatusesOptions {
  readonly client: KubeClient;
  readonly discovery: DiscoveryServer;
  readonly leader: Leader;
  readonly clock: Clock;
  readonly log: Log;
}

export interface Statuses extends Runner {
  /** The mesh has changed. */
  notify(): void;
}

/** Writes statuses while this process leads. */
export function createStatuses({ client, discovery, leader, clock, log }: StatusesOptions): Statuses {
  const writer = createStatusWriter({
    client,
    clock,
    log,
    election: leader,
    readMesh: () => readMesh(discovery.debug.snapshot(), discovery),
  });
  let unsubscribe = (): void => undefined;
  return {
    name: "status",
    async start() {
      unsubscribe = discovery.distribution.subscribe(() => writer.notify());
      writer.start();
    },
    async stop() {
      unsubscribe();
      await writer.stop();
    },
    notify: () => writer.notify(),
  };
}

function readMesh(snapshot: Snapshot | undefined, discovery: DiscoveryServer): MeshView {
  if (snapshot === undefined) return { objects: [], messages: [], distribution: new Map() };
  const kinds = Object.keys(istioKinds).filter(isIstioKind);
  return {
    objects: kinds.flatMap((kind) => snapshot.objects(kind)),
    messages: snapshot.messages,
    distribution: discovery.distribution.list(),
  };
}
