import type { Json } from "@meltemi/protos";
import { type AdminAnswer, type AdminPage, BadQueryError, jsonAnswer } from "./admin-page.ts";
import { buildConfigDump, type ConfigDump, type JsonObject } from "./config-dump.ts";
import { compileSearch } from "./find-regex.ts";

/** The message of the members of each list, below envoy.admin.v3. */
const memberTypes: Readonly<Record<string, string>> = {
  static_clusters: "ClustersConfigDump.StaticCluster",
  dynamic_active_clusters: "ClustersConfigDump.DynamicCluster",
  dynamic_warming_clusters: "ClustersConfigDump.DynamicCluster",
  static_listeners: "ListenersConfigDump.StaticListener",
  dynamic_listeners: "ListenersConfigDump.DynamicListener",
  static_route_configs: "RoutesConfigDump.StaticRouteConfig",
  dynamic_route_configs: "RoutesConfigDump.DynamicRouteConfig",
  static_endpoint_configs: "EndpointsConfigDump.StaticEndpointConfig",
  dynamic_endpoint_configs: "EndpointsConfigDump.DynamicEndpointConfig",
  static_secrets: "SecretsConfigDump.StaticSecret",
  dynamic_active_secrets: "SecretsConfigDump.DynamicSecret",
  dynamic_warming_secrets: "SecretsConfigDump.DynamicSecret",
  ecds_filters: "EcdsConfigDump.EcdsFilterConfig",
};

/** `startedAt` is in milliseconds since the epoch. */
export function createConfigDumpPage(startedAt: number): AdminPage {
  return {
    path: "/config_dump",
    description: "dump current configs",
    parameters: [
      ["resource", "only the members of this list, such as dynamic_active_clusters"],
      ["mask", "only these fields (a FieldMask), of each member where a resource is given"],
      ["name_regex", "only what has a name that contains this regular expression (RE2)"],
      ["include_eds", "endpoints too"],
    ],
    answer(source, query) {
      const dumps = buildConfigDump(source, { includesEndpoints: query.has("include_eds"), startedAt });
      return answerDump(dumps, query);
    },
  };
}

function answerDump(all: readonly ConfigDump[], query: URLSearchParams): AdminAnswer {
  const finds = compileSearch(query.get("name_regex"));
  const dumps = query.get("name_regex") ? all.map((dump) => keepNamed(dump, finds)) : all;
  const resource = query.get("resource");
  const mask = query.get("mask");
  const paths = mask === null || mask === "" ? undefined : mask.split(",").map((path) => path.split("."));
  const shown = resource === null || resource === "" ? dumps : pickResource(dumps, resource);
  const configs = paths === undefined ? shown : shown.map((config) => applyMask(config, paths));
  return jsonAnswer({ configs });
}

function pickResource(dumps: readonly ConfigDump[], resource: string): readonly ConfigDump[] {
  const type = memberTypes[resource];
  if (type === undefined) {
    const isField = dumps.some((dump) => Object.hasOwn(dump, resource));
    if (isField) throw new BadQueryError(`${resource} is not a repeated field. Use ?mask= to get only this field`);
    throw new BadQueryError(`${resource} not found in config dump`, 404);
  }
  const members = dumps.flatMap((dump) => (dump[resource] ?? []) as readonly JsonObject[]);
  return members.map((member) => ({ "@type": `type.googleapis.com/envoy.admin.v3.${type}`, ...member }));
}

/** Members of lists whose resource has a name that is looked for. */
function keepNamed(dump: ConfigDump, finds: (name: string) => boolean): ConfigDump {
  const fields = Object.entries(dump).map(([field, value]) => [
    field,
    Array.isArray(value) ? value.filter((member) => finds(findName(member))) : value,
  ]);
  return Object.fromEntries(fields.filter(([, value]) => !Array.isArray(value) || value.length > 0)) as ConfigDump;
}

function findName(member: Json): string {
  if (typeof member !== "object" || member === null || Array.isArray(member)) return "";
  const { name, ...rest } = member as JsonObject;
  if (typeof name === "string") return name;
  for (const value of Object.values(rest)) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) continue;
    const { name: own, cluster_name: cluster } = value as JsonObject;
    if (typeof own === "string") return own;
    if (typeof cluster === "string") return cluster;
  }
  return "";
}

/** Keeps "@type" and the fields that a path names; a list keeps the fields of its members. */
function applyMask(config: ConfigDump, paths: readonly (readonly string[])[]): ConfigDump {
  const kept: Record<string, Json> = {};
  for (const [field, value] of Object.entries(config)) {
    if (value === undefined) continue;
    if (field === "@type") kept[field] = value;
    const below = paths.filter(([first]) => first === field).map(([, ...rest]) => rest);
    if (below.length === 0) continue;
    kept[field] = below.some((rest) => rest.length === 0) ? value : maskValue(value, below);
  }
  return kept;
}

function maskValue(value: Json, paths: readonly (readonly string[])[]): Json {
  if (Array.isArray(value)) return value.map((member: Json) => maskValue(member, paths));
  if (typeof value !== "object" || value === null) return value;
  return applyMask(value as JsonObject, paths) as Json;
}
