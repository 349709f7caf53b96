/**
 * Tracing of connection managers as the mesh configuration asks for it (Istio: networking/core/tracing.go). Without a
 * provider the proxy sends no spans of its own but still carries trace headers on, and the tags stand ready.
 */

import type { HttpConnectionManager_Tracing } from "@meltemi/protos/envoy/extensions/filters/network/http_connection_manager/v3";
import type { CustomTag } from "@meltemi/protos/envoy/type/tracing/v3";
import type { ProxyConfig } from "../../api/mesh-config/schema.ts";
import { compareText } from "../../lib/text-order.ts";
import type { FilterFacts, WorkloadIdentity } from "../network-filters/filter-facts.ts";

/** Share of requests, in percent, that are traced where nobody says otherwise (Istio: PILOT_TRACE_SAMPLING). */
const defaultSamplingPercent = 1;
const allRequests = { value: 100 } as const;
const rbacFilter = "envoy.filters.http.rbac";

type TracingConfig = NonNullable<ProxyConfig["tracing"]>;
type UserTag = NonNullable<TracingConfig["customTags"]>[string];

/** Decisions of authorization policies on trial, which the RBAC filter leaves in its metadata. */
const dryRunTags: readonly CustomTag[] = ["allow", "deny"].flatMap((action) => [
  buildDryRunTag(`istio.authorization.dry_run.${action}_policy.name`, `${action}_shadow_effective_policy_id`),
  buildDryRunTag(`istio.authorization.dry_run.${action}_policy.result`, `${action}_shadow_engine_result`),
]);

/** Tracing of a connection manager; undefined where the mesh has it turned off. */
export function buildTracing({ mesh, identity }: FilterFacts): HttpConnectionManager_Tracing | undefined {
  if (!mesh.enableTracing) return undefined;
  const config: TracingConfig = mesh.defaultConfig.tracing ?? {};
  const length = config.maxPathTagLength ?? 0;
  const own = config.enableIstioTags === false ? [] : [...buildIdentityTags(identity), ...dryRunTags];
  const users = Object.entries(config.customTags ?? {}).flatMap(([tag, source]) => buildUserTag(tag, source));
  return {
    client_sampling: allRequests,
    random_sampling: { value: samplingPercent(config) },
    overall_sampling: allRequests,
    custom_tags: [...own, ...users].sort(compareTags),
    ...(length === 0 ? {} : { max_path_tag_length: { value: length } }),
  };
}

/** 0 stands for "not given"; more than 100 is taken for a mistake and counts as 1 (Istio: proxyConfigSamplingValue). */
function samplingPercent({ sampling = 0 }: TracingConfig): number {
  if (sampling === 0) return defaultSamplingPercent;
  return sampling > 100 ? 1 : sampling;
}

function buildIdentityTags(identity: WorkloadIdentity): readonly CustomTag[] {
  const literal = (tag: string, value: string, unknown: string): CustomTag => ({
    tag,
    literal: { value: value === "" ? unknown : value },
  });
  return [
    literal("istio.canonical_revision", identity.canonicalRevision, "latest"),
    literal("istio.canonical_service", identity.canonicalService, "unknown"),
    literal("istio.mesh_id", identity.meshId, "unknown"),
    literal("istio.namespace", identity.namespace, "default"),
    literal("istio.cluster_id", identity.clusterId, "unknown"),
  ];
}

function buildDryRunTag(tag: string, key: string): CustomTag {
  const path = [{ key: `istio_dry_run_${key}` }];
  return { tag, metadata: { kind: { request: {} }, metadata_key: { key: rbacFilter, path } } };
}

function buildUserTag(tag: string, source: UserTag): readonly CustomTag[] {
  if (source.literal !== undefined) return [{ tag, literal: { value: source.literal.value } }];
  if (source.environment !== undefined) return [{ tag, environment: convertNamed(source.environment) }];
  if (source.header !== undefined) return [{ tag, request_header: convertNamed(source.header) }];
  return [];
}

function convertNamed({ name, defaultValue = "" }: { readonly name: string; readonly defaultValue?: string }) {
  return { name, ...(defaultValue === "" ? {} : { default_value: defaultValue }) };
}

/** By name, so that the order in which somebody wrote a map does not change bytes. */
function compareTags({ tag: a = "" }: CustomTag, { tag: b = "" }: CustomTag): number {
  return compareText(a, b);
}
