/** Workloads outside Kubernetes: their entries are written into the cluster, or laid over the objects of files. */
import { type AutoRegistrationOptions, createAutoRegistration } from "../autoregistration/auto-registration.ts";
import { createKubeEntryStore } from "../autoregistration/kube-entry-store.ts";
import { createOverlayEntryStore } from "../autoregistration/overlay-entry-store.ts";
import type { Flags } from "../config/flags.ts";
import type { KubeClient } from "../kube/kube-client.ts";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import type { ProxyConnections } from "../model/proxy-connections.ts";
import type { Snapshot } from "../snapshot/snapshot.ts";
import { createOverlaidSource } from "../sources/overlay.ts";
import type { Source } from "../sources/source.ts";
import type { Runner } from "./runners.ts";

export interface RegistrationsOptions {
  readonly flags: Flags;
  /** Undefined where the mesh does not come from a cluster. */
  readonly client: KubeClient | undefined;
  readonly source: Source;
  readonly clock: Clock;
  readonly log: Log;
  readonly snapshot: () => Snapshot;
  readonly count: AutoRegistrationOptions["count"];
}

export interface Registrations extends Runner {
  readonly connections: ProxyConnections;
  /** The source that was given, with the entries that are kept beside it. */
  readonly source: Source;
  /** The mesh has changed. */
  notify(): void;
}

export function createRegistrations(options: RegistrationsOptions): Registrations {
  const { flags, client, clock, log, snapshot, count } = options;
  // What is written to the API server comes back by its watch.
  const overlaid = createOverlaidSource(options.source);
  const common = {
    settings: {
      registersProxies: flags.workloadAutoRegistration,
      takesHealth: flags.workloadHealthChecks,
      checksIdentity: flags.workloadIdentityCheck,
    },
    instance: flags.podName,
    graceMs: flags.workloadGracePeriod,
    maxConnectionAgeMs: flags.keepaliveMaxServerConnectionAge,
    mesh: {
      findGroup: (namespace, name) => snapshot().findObject("WorkloadGroup", namespace, name),
      findEntry: (namespace, name) => snapshot().findObject("WorkloadEntry", namespace, name),
      listEntries: () => snapshot().objects("WorkloadEntry"),
    },
    clock,
    log: log.child({ component: "registration" }),
    count,
  } satisfies Partial<AutoRegistrationOptions>;
  const store = client === undefined ? createOverlayEntryStore(overlaid, clock) : createKubeEntryStore(client);
  const registrar = createAutoRegistration({ ...common, store });
  return {
    name: "registration of workloads",
    connections: registrar,
    source: client === undefined ? overlaid : options.source,
    start: async () => registrar.start(),
    stop: () => registrar.stop(),
    notify: () => registrar.notify(),
  };
}
