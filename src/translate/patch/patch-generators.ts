/** The seam of EnvoyFilters: generators of which every result is patched by what its key says. */
import type { Cluster } from "@meltemi/protos/envoy/config/cluster/v3";
import type { Listener } from "@meltemi/protos/envoy/config/listener/v3";
import type { RouteConfiguration } from "@meltemi/protos/envoy/config/route/v3";
import { mergedGatewaysOf } from "../gateways/merged-gateways.ts";
import type { Generators } from "../generators.ts";
import { parseClusterName, parseOutboundRouteName } from "../names.ts";
import type { ListenerKey, ScopeView, WorkloadView } from "../scope.ts";
import { findPatches, type PatchContext, type PatchSetting, type PatchTable } from "./patch-table.ts";
import { type Patched, patchClusters, patchListeners, patchRoute } from "./patched-resources.ts";
import { parseGatewayRouteName } from "./route-match.ts";

type Generated = Pick<
  Generators,
  | "outboundClusters"
  | "inboundClusters"
  | "outboundListeners"
  | "inboundListeners"
  | "routeConfiguration"
  | "extensionConfig"
>;

/** Results with what became of patches. */
export interface PatchedGenerators {
  outboundClusters(view: ScopeView): Patched<Cluster>;
  inboundClusters(view: WorkloadView): Patched<Cluster>;
  outboundListeners(view: ScopeView, key: ListenerKey): Patched<Listener>;
  inboundListeners(view: WorkloadView): Patched<Listener>;
  routeConfiguration(view: ScopeView, name: string): Patched<RouteConfiguration>;
}

/** The generators with patches. A key without patches gets the very results of `base`. */
export function patchGenerators(base: Generated): PatchedGenerators {
  return {
    outboundClusters: (view) => patchClusters(base.outboundClusters(view), findScopePatches(view), () => []),
    inboundClusters: (view) =>
      patchClusters(base.inboundClusters(view), findWorkloadPatches(view), (name) => listInboundHosts(view, name)),
    outboundListeners: (view, key) => patchListeners(base.outboundListeners(view, key), findListenerPatches(view, key)),
    inboundListeners: (view) => patchListeners(base.inboundListeners(view), findWorkloadPatches(view)),
    routeConfiguration: (view, name) => patchScopeRoute(base, view, name),
  };
}

function contextOf({ key }: ScopeView): PatchContext {
  return key.proxyType === "router" ? "GATEWAY" : "SIDECAR_OUTBOUND";
}

export function findScopePatches(view: ScopeView): PatchTable {
  return findPatches(view.key, settingOf(view, contextOf(view)));
}

export function findListenerPatches(view: ScopeView, key: ListenerKey): PatchTable {
  return findPatches(key, settingOf(view, contextOf(view)));
}

export function findWorkloadPatches({ scope, key }: WorkloadView): PatchTable {
  return findPatches(key, settingOf(scope, "SIDECAR_INBOUND"));
}

function settingOf({ snapshot, key }: ScopeView, context: PatchContext): PatchSetting {
  return { snapshot, capabilities: key.capabilities, context };
}

/** A name that is none of Istio's is asked for by nobody's listener: there is nothing to patch. */
function patchScopeRoute(base: Generated, view: ScopeView, name: string): Patched<RouteConfiguration> {
  const built = base.routeConfiguration(view, name);
  const table = findScopePatches(view);
  const isRouter = view.key.proxyType === "router";
  if (table.all.length === 0 || (!isRouter && parseOutboundRouteName(name) === undefined)) {
    return { built: [built], notes: table.notes };
  }
  return patchRoute(built, table, {
    context: table.context,
    serverPorts: isRouter ? listServerPorts(view, parseGatewayRouteName(name).port) : undefined,
  });
}

/** Ports of the servers whose route configurations are named after a port; undefined where there are none. */
function listServerPorts(view: ScopeView, port: number): ReadonlySet<number> | undefined {
  const servers = [...mergedGatewaysOf(view).serversByRoute].filter(
    ([name]) => parseGatewayRouteName(name).port === port,
  );
  if (servers.length === 0) return undefined;
  return new Set(servers.flatMap(([, list]) => list.flatMap(({ server }) => server.port?.number ?? [])));
}

/** Hosts of the services behind an inbound cluster; for a port of a Sidecar that no service has, one named after it. */
function listInboundHosts(view: WorkloadView, name: string): readonly string[] {
  const parsed = parseClusterName(name);
  if (parsed?.direction !== "inbound") return [];
  const hosts = view.targets
    .filter(({ target }) => target.targetPort === parsed.port)
    .map(({ service }) => service.hostname);
  const { sidecar } = view.scope;
  if (sidecar === undefined || (sidecar.spec.ingress ?? []).length === 0) return hosts;
  const [first = `${sidecar.meta.name}.${sidecar.meta.namespace}`] = hosts;
  return [first];
}
