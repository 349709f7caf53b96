/**
 * The seam between translation and push: everything that can be generated, as functions of a view. All are pure; push
 * keeps their results for each key and encodes them once.
 */
import type { Cluster } from "@meltemi/protos/envoy/config/cluster/v3";
import type { TypedExtensionConfig } from "@meltemi/protos/envoy/config/core/v3";
import type { ClusterLoadAssignment } from "@meltemi/protos/envoy/config/endpoint/v3";
import type { Listener } from "@meltemi/protos/envoy/config/listener/v3";
import type { RouteConfiguration } from "@meltemi/protos/envoy/config/route/v3";
import type { NameTable } from "@meltemi/protos/istio/networking/nds/v1";
import type { Message } from "../lib/message.ts";
import type { Proxy as MeshProxy } from "../model/proxy.ts";
import type { Snapshot } from "../snapshot/snapshot.ts";
import type { Built } from "./built.ts";
import type { GrpcGenerators } from "./grpc/generators.ts";
import type { PatchOutcome } from "./patch/patch-notes.ts";
import type { ListenerKey, ScopeKey, ScopeView, WorkloadKey, WorkloadView } from "./scope.ts";

export interface Generators {
  /** Keys of a proxy in a snapshot; the only place that reads a whole proxy. */
  deriveKeys(
    snapshot: Snapshot,
    proxy: MeshProxy,
  ): { readonly scope: ScopeKey; readonly listener: ListenerKey; readonly workload: WorkloadKey };
  createScopeView(snapshot: Snapshot, key: ScopeKey): ScopeView;
  createWorkloadView(scope: ScopeView, key: WorkloadKey): WorkloadView;

  /** CDS shared by the scope. */
  outboundClusters(view: ScopeView): readonly Built<Cluster>[];
  /** CDS of the workload itself; empty for routers. */
  inboundClusters(view: WorkloadView): readonly Built<Cluster>[];
  /** LDS shared by the scope and telemetry identity (sidecars), or all listeners of a router. */
  outboundListeners(view: ScopeView, key: ListenerKey): readonly Built<Listener>[];
  /** LDS of the workload itself; empty for routers. */
  inboundListeners(view: WorkloadView): readonly Built<Listener>[];
  /** RDS by name; always a resource (an empty one where the name is unknown: a listener that waits must go on). */
  routeConfiguration(view: ScopeView, name: string): Built<RouteConfiguration>;
  /** Names of all route configurations that the scope's listeners ask for. */
  routeNames(view: ScopeView): readonly string[];
  /** EDS by cluster name; undefined where no cluster of that name takes endpoints from EDS. */
  loadAssignment(view: ScopeView, clusterName: string): Built<ClusterLoadAssignment> | undefined;
  /** Names of all clusters that take their endpoints from EDS. */
  loadAssignmentNames(view: ScopeView): readonly string[];
  /** The service (key as serviceKey) whose endpoints a load assignment is made of; undefined for unknown names. */
  serviceOfLoadAssignment(view: ScopeView, clusterName: string): string | undefined;
  /** ECDS by name; undefined where nothing in the scope has a configuration of that name. */
  extensionConfig(view: ScopeView, name: string): Built<TypedExtensionConfig> | undefined;
  /** NDS: the one table of names of the scope, for agents that answer DNS. */
  nameTable(view: ScopeView): readonly Built<NameTable>[];
  /** What is to be said about objects as the scope sees them: a conflict may exist in one scope only. */
  messages(view: ScopeView): readonly Message[];
  /** What became of the patches of EnvoyFilters that are for a workload's proxy. */
  patchOutcomes?(view: WorkloadView): readonly PatchOutcome[];
  /** For proxyless gRPC clients, by name; without it they are given nothing. */
  readonly grpc?: GrpcGenerators;
}
