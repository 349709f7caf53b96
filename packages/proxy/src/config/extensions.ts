/**
 * What this proxy says it has (node.extensions), under the names of Envoy's factories: control planes send nothing to a
 * proxy that is not among them.
 */
import type { Extension } from "@meltemi/protos/envoy/config/core/v3";
import { httpFilterFactories } from "../filters/registry.ts";
import { networkFilterFactories } from "../network/registry.ts";

/** By category, what has no table of its own. */
const others: Readonly<Record<string, readonly string[]>> = {
  "envoy.access_loggers": [
    "envoy.access_loggers.file",
    "envoy.access_loggers.http_grpc",
    "envoy.access_loggers.stderr",
    "envoy.access_loggers.stdout",
    "envoy.access_loggers.tcp_grpc",
  ],
  "envoy.bootstrap": ["envoy.bootstrap.internal_listener"],
  "envoy.clusters": [
    "envoy.cluster.eds",
    "envoy.cluster.logical_dns",
    "envoy.cluster.original_dst",
    "envoy.cluster.static",
    "envoy.cluster.strict_dns",
    "envoy.clusters.aggregate",
    "envoy.clusters.dynamic_forward_proxy",
  ],
  "envoy.compression.compressor": [
    "envoy.compression.brotli.compressor",
    "envoy.compression.gzip.compressor",
    "envoy.compression.zstd.compressor",
  ],
  "envoy.filters.listener": [
    "envoy.filters.listener.http_inspector",
    "envoy.filters.listener.original_dst",
    "envoy.filters.listener.proxy_protocol",
    "envoy.filters.listener.tls_inspector",
  ],
  "envoy.health_checkers": ["envoy.health_checkers.grpc", "envoy.health_checkers.http", "envoy.health_checkers.tcp"],
  "envoy.load_balancing_policies": [
    "envoy.load_balancing_policies.cluster_provided",
    "envoy.load_balancing_policies.least_request",
    "envoy.load_balancing_policies.maglev",
    "envoy.load_balancing_policies.random",
    "envoy.load_balancing_policies.ring_hash",
    "envoy.load_balancing_policies.round_robin",
    "envoy.load_balancing_policies.subset",
    "envoy.load_balancing_policies.wrr_locality",
  ],
  "envoy.network.dns_resolver": ["envoy.network.dns_resolver.cares", "envoy.network.dns_resolver.getaddrinfo"],
  "envoy.request_id": ["envoy.request_id.uuid"],
  "envoy.retry_host_predicates": [
    "envoy.retry_host_predicates.omit_canary_hosts",
    "envoy.retry_host_predicates.omit_host_metadata",
    "envoy.retry_host_predicates.previous_hosts",
  ],
  "envoy.retry_priorities": ["envoy.retry_priorities.previous_priorities"],
  "envoy.tracers": ["envoy.tracers.opentelemetry", "envoy.tracers.zipkin"],
  "envoy.transport_sockets.downstream": ["envoy.transport_sockets.raw_buffer", "envoy.transport_sockets.tls"],
  "envoy.transport_sockets.upstream": [
    "envoy.transport_sockets.raw_buffer",
    "envoy.transport_sockets.tls",
    "envoy.transport_sockets.upstream_proxy_protocol",
  ],
  "envoy.upstream_options": ["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"],
};

/**
 * Accepted and not offered: who is offered these gets them for its connections to upstreams, too, where there is no such
 * filter.
 */
const unlisted: ReadonlySet<string> = new Set([
  "envoy.filters.http.peer_metadata",
  "envoy.filters.network.metadata_exchange",
  "istio.metadata_exchange",
]);

/** All extensions, by category and name. */
export function listExtensions(): readonly Extension[] {
  return [
    ...listFactories("envoy.filters.http", httpFilterFactories),
    ...listFactories("envoy.filters.network", networkFilterFactories),
    ...Object.entries(others).flatMap(([category, names]) => names.map((name) => ({ name, category }))),
  ];
}

function listFactories(
  category: string,
  factories: readonly { readonly name: string; readonly type: string }[],
): readonly Extension[] {
  return factories
    .filter(({ name }) => !unlisted.has(name))
    .map(({ name, type }) => ({ name, category, type_urls: [type] }));
}
