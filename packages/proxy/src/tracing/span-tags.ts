/** What spans say of requests: Envoy's tags, and those that the configuration names. */

import type { MetadataKey } from "@meltemi/protos/envoy/type/metadata/v3";
import type { CustomTag } from "@meltemi/protos/envoy/type/tracing/v3";
import type { LogEntry } from "../access-log/types.ts";
import type { HttpFilterEnv } from "../config/env.ts";
import { compileTextFormat } from "../formatter/compile-format.ts";
import { ConfigError, compileAll, need } from "../lib/config-error.ts";

/** Reads the value of one tag; undefined or "" for none. */
type ReadTag = (entry: LogEntry) => string | undefined;

export interface CompiledTag {
  readonly name: string;
  readonly read: ReadTag;
}

type TagEnv = Pick<HttpFilterEnv, "node" | "clusters" | "environment">;

/** Envoy's own tags, in its words. `maxPathLength` is in characters. */
export function compileDefaultTags({ node, clusters }: TagEnv, maxPathLength: number): readonly CompiledTag[] {
  const options = { clusters };
  const formats: Readonly<Record<string, string>> = {
    "http.method": "%REQ(:METHOD)%",
    "http.protocol": "%PROTOCOL%",
    "http.status_code": "%RESPONSE_CODE%",
    downstream_cluster: "%REQ(X-ENVOY-DOWNSTREAM-SERVICE-CLUSTER)%",
    user_agent: "%REQ(USER-AGENT)%",
    "peer.address": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    request_size: "%BYTES_RECEIVED%",
    response_size: "%BYTES_SENT%",
    response_flags: "%RESPONSE_FLAGS%",
    upstream_cluster: "%UPSTREAM_CLUSTER_RAW%",
    "upstream_cluster.name": "%UPSTREAM_CLUSTER%",
  };
  const optional: Readonly<Record<string, string>> = {
    "guid:x-request-id": "%REQ(X-REQUEST-ID)%",
    "guid:x-client-trace-id": "%REQ(X-CLIENT-TRACE-ID)%",
  };
  return [
    { name: "component", read: () => "proxy" },
    { name: "node_id", read: () => node.id },
    { name: "zone", read: () => node.locality?.zone },
    {
      name: "http.url",
      read: ({ request }) =>
        request && `${request.scheme}://${request.authority}${request.path.slice(0, maxPathLength)}`,
    },
    ...Object.entries(formats).map(([name, format]) => ({ name, read: compileTextFormat(format, options) })),
    ...Object.entries(optional).map(([name, format]) => ({
      name,
      read: compileTextFormat(format, { ...options, omitsEmpty: true }),
    })),
  ];
}

/** Throws ConfigError. */
export function compileCustomTags(tags: readonly CustomTag[] | undefined, env: TagEnv): readonly CompiledTag[] {
  return compileAll("custom_tags", tags, (wire) => ({
    name: need("tag", wire.tag),
    read: compileCustomTag(wire, env),
  }));
}

function compileCustomTag({ literal, environment, request_header: header, metadata }: CustomTag, env: TagEnv): ReadTag {
  if (literal !== undefined) return () => literal.value;
  if (environment !== undefined) {
    if (env.environment === undefined) throw new ConfigError("environment", "cannot be used here: it is not known");
    const value = env.environment(environment.name ?? "") ?? environment.default_value;
    return () => value;
  }
  if (header !== undefined) {
    const read = compileTextFormat(`%REQ(${need("request_header.name", header.name)})%`, { omitsEmpty: true });
    return (entry) => read(entry) || header.default_value;
  }
  if (metadata === undefined)
    throw new ConfigError("", "one of literal, environment, request_header, metadata is required");
  const read = compileMetadata(metadata, env);
  return (entry) => read(entry) || metadata.default_value;
}

function compileMetadata(
  { kind = {}, metadata_key: key }: NonNullable<CustomTag["metadata"]>,
  { clusters }: TagEnv,
): ReadTag {
  const read = ({ info, routeMetadata }: LogEntry): Readonly<Record<string, unknown>> | undefined => {
    if (kind.route !== undefined) return routeMetadata;
    if (kind.cluster !== undefined) return clusters.find(info.clusterName)?.metadata;
    if (kind.host !== undefined) return info.upstreamHost?.metadata;
    return Object.fromEntries(info.dynamicMetadata);
  };
  return (entry) => walk(read(entry), need("", key));
}

function walk(
  all: Readonly<Record<string, unknown>> | undefined,
  { key = "", path = [] }: MetadataKey,
): string | undefined {
  let value: unknown = all?.[key];
  for (const segment of path) {
    if (typeof value !== "object" || value === null) return undefined;
    value = (value as Readonly<Record<string, unknown>>)[segment.key ?? ""];
  }
  if (value === undefined || value === null) return undefined;
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
