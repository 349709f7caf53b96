/** What the proxy is configured with, as Envoy's messages of envoy.admin.v3 have it, in JSON. */
import { type Json, type TypeMap, toJson, toJsonDynamic, unpackAs } from "@meltemi/protos";
import type { Listener } from "@meltemi/protos/envoy/config/listener/v3";
import type { RouteConfiguration } from "@meltemi/protos/envoy/config/route/v3";
import { compileTimeFormat, isoTimeFormat } from "../formatter/format-time.ts";
import type { AdminSource, ConfigDumpSource, DumpedResource } from "./types.ts";

export type JsonObject = { readonly [field: string]: Json | undefined };

/** One message of the page, with its "@type"; lists of resources by field. */
export type ConfigDump = JsonObject;

export interface DumpOptions {
  readonly includesEndpoints: boolean;
  /** When the proxy was started, for what is static. Milliseconds since the epoch. */
  readonly startedAt: number;
}

const hcmType = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const adminType = "type.googleapis.com/envoy.admin.v3.";

export function buildConfigDump(
  source: AdminSource,
  { includesEndpoints, startedAt }: DumpOptions,
): readonly ConfigDump[] {
  const formatTime = compileTimeFormat(isoTimeFormat);
  const dump = source.dump();
  const dumper: Dumper = { source, dump, formatTime, startedAt };
  return [
    {
      "@type": `${adminType}BootstrapConfigDump`,
      bootstrap: toJson("envoy.config.bootstrap.v3.Bootstrap", source.bootstrap, { redactSecrets: true }),
      last_updated: formatTime(startedAt),
    },
    dumpClusters(dumper),
    ...(includesEndpoints ? [dumpEndpoints(dumper)] : []),
    dumpListeners(dumper),
    { "@type": `${adminType}ScopedRoutesConfigDump` },
    dumpRoutes(dumper),
    dumpSecrets(dumper),
    ...(dump.extensions.length === 0 ? [] : [dumpExtensions(dumper)]),
  ];
}

interface Dumper {
  readonly source: AdminSource;
  readonly dump: ConfigDumpSource;
  readonly formatTime: (timeMs: number) => string;
  readonly startedAt: number;
}

/** A message as an Any is shown: with its type. Keys and passwords in it are hidden. */
function withType(type: keyof TypeMap, message: unknown): Json {
  const json = toJsonDynamic(type, message, { redactSecrets: true }) as JsonObject;
  return { "@type": `type.googleapis.com/${type}`, ...json } as Json;
}

/** Lists that are empty are left out, as protobuf's JSON does it. */
function withLists(type: string, lists: Readonly<Record<string, readonly Json[]>>, version?: string): ConfigDump {
  const filled = Object.entries(lists).filter(([, list]) => list.length > 0);
  return {
    "@type": `${adminType}${type}`,
    ...(version ? { version_info: version } : {}),
    ...(Object.fromEntries(filled) as JsonObject),
  };
}

/** The members that every dynamic resource has. */
function describeDynamic({ formatTime }: Dumper, resource: DumpedResource<unknown>, shown: JsonObject): Json {
  const { version, updatedAt, error } = resource;
  return {
    ...(version === "" ? {} : { version_info: version }),
    ...shown,
    last_updated: formatTime(updatedAt),
    ...(error === undefined ? {} : { error_state: describeError(formatTime, error) }),
  } as Json;
}

function describeError(
  formatTime: (timeMs: number) => string,
  { at, details, version }: { readonly at: number; readonly details: string; readonly version: string },
): Json {
  return { last_update_attempt: formatTime(at), details, ...(version === "" ? {} : { version_info: version }) };
}

function dumpClusters(dumper: Dumper): ConfigDump {
  const { source, dump, formatTime, startedAt } = dumper;
  const dynamic = dump.clusters.filter(({ isStatic }) => !isStatic);
  const names = new Set(dynamic.map(({ name }) => name));
  const fixed = (source.bootstrap.static_resources?.clusters ?? []).filter(({ name = "" }) => !names.has(name));
  const show = (resource: (typeof dynamic)[number]): Json =>
    describeDynamic(dumper, resource, { cluster: withType("envoy.config.cluster.v3.Cluster", resource.resource) });
  return withLists(
    "ClustersConfigDump",
    {
      static_clusters: fixed.map((cluster) => ({
        cluster: withType("envoy.config.cluster.v3.Cluster", cluster),
        last_updated: formatTime(startedAt),
      })),
      dynamic_active_clusters: dynamic.filter(({ isWarming }) => !isWarming).map(show),
      dynamic_warming_clusters: dynamic.filter(({ isWarming }) => isWarming).map(show),
    },
    dynamic[0]?.version,
  );
}

function dumpEndpoints(dumper: Dumper): ConfigDump {
  const { source, dump, formatTime, startedAt } = dumper;
  const type = "envoy.config.endpoint.v3.ClusterLoadAssignment";
  const fixed = source.clusters.list().flatMap(({ wire }) => wire.load_assignment ?? []);
  return withLists("EndpointsConfigDump", {
    static_endpoint_configs: fixed.map((assignment) => ({
      endpoint_config: withType(type, assignment),
      last_updated: formatTime(startedAt),
    })),
    dynamic_endpoint_configs: dump.endpoints.map((resource) =>
      describeDynamic(dumper, resource, { endpoint_config: withType(type, resource.resource) }),
    ),
  });
}

function dumpListeners({ source, dump, formatTime, startedAt }: Dumper): ConfigDump {
  const all = source.listeners.list();
  const show = (wire: Listener): Json => withType("envoy.config.listener.v3.Listener", wire);
  const active = all
    .filter(({ isStatic }) => !isStatic)
    .map(
      ({ name, wire, version }): JsonObject => ({
        name,
        active_state: { ...(version === "" ? {} : { version_info: version }), listener: show(wire) },
      }),
    );
  const warming = source.listeners
    .warming()
    .filter((name) => !active.some((listener) => listener["name"] === name))
    .map((name): JsonObject => ({ name, warming_state: {} }));
  const known = [...active, ...warming];
  const refused = [...dump.listenerErrors.keys()].filter(
    (name) => !known.some((listener) => listener["name"] === name),
  );
  const dynamic = [...known, ...refused.map((name): JsonObject => ({ name }))].map((listener) => {
    const error = dump.listenerErrors.get(String(listener["name"]));
    return (error === undefined ? listener : { ...listener, error_state: describeError(formatTime, error) }) as Json;
  });
  return withLists(
    "ListenersConfigDump",
    {
      static_listeners: all
        .filter(({ isStatic }) => isStatic)
        .map(({ wire }) => ({ listener: show(wire), last_updated: formatTime(startedAt) })),
      dynamic_listeners: dynamic,
    },
    all.find(({ isStatic }) => !isStatic)?.version,
  );
}

function dumpRoutes(dumper: Dumper): ConfigDump {
  const { source, dump, formatTime, startedAt } = dumper;
  const type = "envoy.config.route.v3.RouteConfiguration";
  const inline = source.listeners.list().flatMap(({ wire }) => listInlineRoutes(wire));
  return withLists("RoutesConfigDump", {
    static_route_configs: inline.map((config) => ({
      route_config: withType(type, config),
      last_updated: formatTime(startedAt),
    })),
    dynamic_route_configs: dump.routes.map((resource) =>
      describeDynamic(dumper, resource, { route_config: withType(type, resource.resource) }),
    ),
  });
}

/** Route tables that stand in the connection managers themselves. */
function listInlineRoutes(wire: Listener): readonly RouteConfiguration[] {
  const chains = [...(wire.filter_chains ?? []), ...(wire.default_filter_chain ? [wire.default_filter_chain] : [])];
  return chains
    .flatMap(({ filters = [] }) => filters)
    .flatMap(({ typed_config: config }) =>
      config === undefined ? [] : (unpackAs(hcmType, config)?.route_config ?? []),
    );
}

function dumpSecrets({ source }: Dumper): ConfigDump {
  const fixed = new Set((source.bootstrap.static_resources?.secrets ?? []).map(({ name }) => name));
  const lists: Record<string, Json[]> = { static_secrets: [], dynamic_active_secrets: [], dynamic_warming_secrets: [] };
  for (const { name, current } of source.secrets.list()) {
    const list = findSecretList(fixed.has(name), current !== undefined);
    const type = "envoy.extensions.transport_sockets.tls.v3.Secret";
    lists[list]?.push({ name, ...(current === undefined ? {} : { secret: withType(type, current) }) });
  }
  return withLists("SecretsConfigDump", lists);
}

function findSecretList(isStatic: boolean, isThere: boolean): string {
  if (isStatic) return "static_secrets";
  return isThere ? "dynamic_active_secrets" : "dynamic_warming_secrets";
}

function dumpExtensions(dumper: Dumper): ConfigDump {
  const show = (resource: DumpedResource<unknown>): Json =>
    describeDynamic(dumper, resource, {
      ecds_filter: withType("envoy.config.core.v3.TypedExtensionConfig", resource.resource),
    });
  return withLists("EcdsConfigDump", { ecds_filters: dumper.dump.extensions.map(show) });
}
