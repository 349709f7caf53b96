/** The composition root: makes every part of the control plane, connects them and starts them in order. */

import { randomUUID } from "node:crypto";
import type { LiveAuthority } from "../ca/live-authority.ts";
import { formatListenAddress } from "../config/flag.ts";
import type { Flags } from "../config/flags.ts";
import { readVersion } from "../config/version.ts";
import { authorizeDebug, type DebugAccess } from "../http/debug/access.ts";
import { answerDebugName } from "../http/debug/respond.ts";
import { type HttpServers, startHttpServers } from "../http/http-server.ts";
import { createMetrics, type MeshMetrics } from "../http/metrics.ts";
import type { DebugPort } from "../http/ports.ts";
import { type Clock, systemClock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import { formatTrustDomain } from "../lib/spiffe.ts";
import { createSnapshotBuilder, type SnapshotBuilder } from "../snapshot/build.ts";
import type { Snapshot } from "../snapshot/snapshot.ts";
import { createFileSource } from "../sources/file/file-source.ts";
import type { KubernetesLimits } from "../sources/kubernetes/limits.ts";
import { createSelectedSource } from "../sources/selection.ts";
import type { Source } from "../sources/source.ts";
import type { DebugPages } from "../xds/debug-requests.ts";
import { createDiscoveryServer, type DiscoveryServer } from "../xds/discovery-server.ts";
import { createGrpcTransport } from "../xds/grpc-server.ts";
import type { XdsLimits } from "../xds/limits.ts";
import { type ChangePath, createChangePath } from "./apply-changes.ts";
import { createAuthorityEnds, createCertificateMethods } from "./certificate-service.ts";
import { watchClock } from "./clock-watch.ts";
import { type Cluster, createCluster, describeWatches, meshConfigName } from "./cluster.ts";
import { createExternalSigner } from "./external-signer.ts";
import { deriveFeatures } from "./features.ts";
import { generators } from "./generators.ts";
import { createLeader } from "./leader.ts";
import { deriveGrpcLimits, deriveXdsLimits } from "./limits.ts";
import { createMeshAuthority } from "./mesh-authority.ts";
import { createRegistrations, type Registrations } from "./registrations.ts";
import { type Runner, startRunners } from "./runners.ts";
import { createSecureXds } from "./secure-xds.ts";
import { createWebhook } from "./webhook.ts";
import { createWriters } from "./writers.ts";
import { createXdsSecurity, type XdsSecurity } from "./xds-security.ts";

export interface ControlPlaneOptions {
  readonly flags: Flags;
  readonly log: Log;
  /** Where the mesh comes from; where not given, the directory of --config-dir, or the cluster. */
  readonly source?: Source;
  /** Limits of watches that differ from the usual ones. */
  readonly watchLimits?: Partial<KubernetesLimits>;
  readonly clock?: Clock;
  /** Limits that differ from those of the flags. */
  readonly limits?: Partial<XdsLimits>;
}

export interface ControlPlane {
  /** "host:port" of the xDS port, as it was taken. */
  readonly grpcAddress: string;
  /** The same of the port with TLS; "" as long as nothing listens. */
  secureGrpcAddress(): string;
  readonly httpPort: number;
  readonly monitoringPort: number;
  /** 0 where no webhooks are served. */
  readonly webhookPort: number;
  /** The mesh as it is served. */
  snapshot(): Snapshot;
  /** Ends streams within --shutdownDuration, then everything else. */
  stop(): Promise<void>;
}

/** Starts a control plane; rejects where a port is taken or the source does not exist, and then leaves nothing behind. */
export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const { flags, log } = options;
  const clock = options.clock ?? systemClock;
  const isInCluster = options.source === undefined && flags.configDir === "";
  const cluster = isInCluster
    ? await createCluster({ flags, clock, log, limits: options.watchLimits ?? {} })
    : undefined;
  const parts = createParts(options, cluster);
  let isSynced = false;
  let isServing = false;
  let servers: HttpServers | undefined;
  let grpcAddress = "";
  const isReady = (): boolean => isSynced && isServing;
  const describe = (): string => describeReadiness({ isSynced, isServing }, cluster);
  const { authority } = parts;
  const webhook = cluster && createWebhook({ ...parts, flags, client: cluster.client, isReady, clock, log });
  const secureXds = createSecureXds({ flags, authority, discovery: parts.discovery, clock, log });
  const leader = cluster && createLeader({ flags, client: cluster.client, clock, log });
  if (webhook !== undefined) leader?.onChange((isLeader) => webhook.setLeading(isLeader));
  const writers =
    cluster && leader ? createWriters({ ...parts, flags, client: cluster.client, leader, clock, log }) : [];
  // HTTP comes first and goes last, so that readiness tells the truth from the beginning to the end.
  const runners: readonly Runner[] = [
    {
      name: "http",
      async start() {
        servers = await startHttpServers({
          httpAddress: flags.httpAddr,
          monitoringAddress: flags.monitoringAddr,
          status: { isReady, describe, version: readVersion() },
          metrics: parts.metrics,
          debug: flags.debugOnHttp ? { port: parts.debug, access: parts.security.debugAccess } : undefined,
          log,
        });
      },
      stop: async () => servers?.stop(),
    },
    {
      name: parts.source.name,
      async start() {
        await parts.source.start({
          apply(changeSet) {
            parts.changes.apply(changeSet, parts.source.name);
            parts.registrations.notify();
            webhook?.notify();
            for (const writer of writers) writer.notify();
          },
        });
        isSynced = true;
      },
      async stop() {
        await parts.source.stop();
        parts.changes.close();
      },
    },
    // Stops after xDS has ended the streams, so that it is noted who is gone.
    parts.registrations,
    {
      name: "xds",
      async start() {
        grpcAddress = await parts.discovery.start(formatListenAddress(flags.grpcAddr));
      },
      stop: () => parts.discovery.stop(),
    },
    ...(secureXds === undefined ? [] : [secureXds]),
    {
      name: "readiness",
      async start() {
        isServing = true;
      },
      async stop() {
        isServing = false;
      },
    },
    ...(webhook === undefined ? [] : [{ name: "webhook", start: () => webhook.start(), stop: () => webhook.stop() }]),
    ...(leader === undefined ? [] : [{ name: "leader", start: () => leader.start(), stop: () => leader.stop() }]),
    ...writers,
  ];
  const clockWatch = watchClock(clock, log);
  const end = async (): Promise<void> => {
    clockWatch.close();
    parts.authority.stop();
    parts.security.stop();
    cluster?.client.close();
  };
  const stopAll = await startRunners(runners, log).catch(async (cause: unknown) => {
    await end();
    throw cause;
  });
  const stop = async (): Promise<void> => {
    await stopAll();
    await end();
  };
  return {
    grpcAddress,
    secureGrpcAddress: () => secureXds?.address() ?? "",
    httpPort: servers?.httpPort ?? 0,
    monitoringPort: servers?.monitoringPort ?? 0,
    webhookPort: webhook?.port() ?? 0,
    snapshot: () => parts.builder.current,
    stop,
  };
}

function describeReadiness(
  { isSynced, isServing }: { readonly isSynced: boolean; readonly isServing: boolean },
  cluster: Cluster | undefined,
): string {
  const watches = cluster === undefined ? [] : describeWatches(cluster.source.listWatches());
  const reason = isSynced ? "xDS is not served" : "the mesh is not read yet";
  return [...(isSynced && isServing ? [] : [`not ready: ${reason}`]), ...watches].join("\n");
}

interface Parts {
  readonly builder: SnapshotBuilder;
  readonly discovery: DiscoveryServer;
  readonly source: Source;
  readonly debug: DebugPort;
  readonly metrics: MeshMetrics;
  readonly changes: ChangePath;
  readonly authority: LiveAuthority;
  readonly security: XdsSecurity;
  readonly registrations: Registrations;
}

function createParts(options: ControlPlaneOptions, cluster: Cluster | undefined): Parts {
  const { flags, log, clock = systemClock } = options;
  const { clusterId, domain, namespace } = flags;
  const meshConfigs = {
    meshConfigName: meshConfigName(flags.revision),
    ...(flags.sharedMeshConfig === "" ? {} : { sharedMeshConfigName: flags.sharedMeshConfig }),
  };
  const builder = createSnapshotBuilder({
    domain,
    clusterId,
    systemNamespace: namespace,
    ...meshConfigs,
    features: deriveFeatures(flags),
  });
  const startedAt = clock.monotonic();
  // Metrics read the server's state and the server counts in metrics: each is looked at only when both are there.
  const debug: DebugPort = {
    snapshot: () => discovery.debug.snapshot(),
    generators,
    listConnections: () => discovery.debug.listConnections(),
    listCachedResources: () => discovery.debug.listCachedResources(),
    clearCache: () => discovery.debug.clearCache(),
    pushAll: () => discovery.debug.pushAll(),
  };
  const uptimeSeconds = (): number => (clock.monotonic() - startedAt) / 1000;
  const authority = createMeshAuthority({ flags, client: cluster?.client, clock, log });
  const metrics = createMetrics({
    debug,
    version: readVersion(),
    uptimeSeconds,
    countsPatches: flags.envoyFilterStats,
    authority: { ends: createAuthorityEnds(flags, authority), now: () => clock.now() },
  });
  const xdsLog = log.child({ component: "xds" });
  const security = createXdsSecurity({ flags, client: cluster?.client, mesh: () => builder.current.mesh, clock, log });
  const signer = createExternalSigner({
    ...{ flags, client: cluster?.client, clock, log },
    mesh: () => builder.current.mesh,
  });
  const transport = {
    limits: deriveGrpcLimits(flags),
    methods: createCertificateMethods({
      ...(signer === undefined ? {} : { signer }),
      ...{ flags, client: cluster?.client, authority, authenticate: security.authenticate, metrics, clock, log },
      trustDomain: () => formatTrustDomain(builder.current.mesh.trustDomain),
    }),
    clock,
    log: xdsLog,
  };
  const everything = options.source ?? cluster?.source ?? createDirectorySource(flags, clock, log);
  const registrations = createRegistrations({
    ...{ flags, client: cluster?.client, source: everything, clock, log },
    snapshot: () => builder.current,
    count: (name) => metrics.count(name),
  });
  const discovery: DiscoveryServer = createDiscoveryServer({
    ...security.options,
    ...(flags.debugOnHttp ? { debugPages: serveDebugPages(debug, security.debugAccess, log) } : {}),
    connections: registrations.connections,
    generators,
    clock,
    log: xdsLog,
    metrics,
    limits: { ...deriveXdsLimits(flags), ...options.limits },
    identity: { id: flags.podName, version: readVersion(), runId: randomUUID().slice(0, 8) },
    createTransport: (service, tls) => createGrpcTransport(transport, service, tls),
    yieldTurn: (run) => void setImmediate(run),
  });
  const source = createSelectedSource(registrations.source, {
    systemNamespace: namespace,
    ...meshConfigs,
    revision: flags.revision,
  });
  return {
    builder,
    discovery,
    source,
    debug,
    metrics,
    authority,
    security,
    registrations,
    changes: createChangePath({ builder, discovery, metrics, clock, log }),
  };
}

/** The debug pages for those who ask over xDS. */
function serveDebugPages(port: DebugPort, { rules }: DebugAccess, log: Log): DebugPages {
  return {
    answer: (name, namespace) => answerDebugName(name, namespace, { port, rules, log }),
    seesAll: (namespace) => authorizeDebug("syncz", namespace, rules)?.kind === "everything",
  };
}

function createDirectorySource(flags: Flags, clock: Clock, log: Log): Source {
  return createFileSource({ directory: flags.configDir, clock, log: log.child({ component: "source" }), watch: true });
}
