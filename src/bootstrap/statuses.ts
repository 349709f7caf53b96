/** The statuses of Istio's objects: what is wrong with them, and on how many proxies they are live. */
import { isIstioKind, istioKinds } from "../api/known-kinds.ts";
import type { Flags } from "../config/flags.ts";
import type { KubeClient } from "../kube/kube-client.ts";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import type { Message } from "../lib/message.ts";
import type { Snapshot } from "../snapshot/snapshot.ts";
import { buildReport, sumDistributions } from "../status/distribution-sum.ts";
import { createReplicaReports } from "../status/replica-reports.ts";
import { createStatusWriter, type MeshView } from "../status/status-writer.ts";
import { listMeshOutcomes } from "../translate/patch/mesh-outcomes.ts";
import { listPatchMessages } from "../translate/patch/patch-outcomes.ts";
import type { DiscoveryServer } from "../xds/discovery-server.ts";
import { generators } from "./generators.ts";
import type { Leader } from "./leader.ts";
import type { Runner } from "./runners.ts";

export interface StatusesOptions {
  readonly flags: Flags;
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

/** Writes statuses while this process leads, and tells the leader of its proxies while it does not. */
export function createStatuses({ flags, client, discovery, leader, clock, log }: StatusesOptions): Statuses {
  const readOwn = (): MeshView => readMesh(discovery.debug.snapshot(), discovery);
  const common = { client, clock, log, election: leader };
  const writer = createStatusWriter({
    ...common,
    readMesh() {
      const own = readOwn();
      const messages = [...own.messages, ...listOwnPatchMessages(discovery)];
      return { ...own, messages, distribution: sumDistributions(own, reports?.list() ?? []) };
    },
  });
  const { namespace, podName, revision } = flags;
  // Who leads without an election is alone.
  const reports = flags.leaderElection
    ? createReplicaReports({
        ...common,
        ...{ namespace, podName, revision },
        buildReport: () => buildReport(readOwn()),
        onChange: () => writer.notify(),
      })
    : undefined;
  const notify = (): void => {
    writer.notify();
    reports?.notify();
  };
  let unsubscribe = (): void => undefined;
  return {
    name: "status",
    async start() {
      unsubscribe = discovery.distribution.subscribe(notify);
      writer.start();
      reports?.start();
    },
    async stop() {
      unsubscribe();
      await Promise.all([writer.stop(), reports?.stop()]);
    },
    notify,
  };
}

/** What patches of EnvoyFilters came to on the proxies of this replica. */
function listOwnPatchMessages({ debug }: DiscoveryServer): readonly Message[] {
  const snapshot = debug.snapshot();
  if (snapshot === undefined) return [];
  const proxies = debug.listConnections().map(({ proxy }) => proxy);
  return listPatchMessages(listMeshOutcomes(generators, snapshot, proxies));
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
