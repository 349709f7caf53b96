/** HTTP connection managers (Istio: networking/core/listener_builder.go, buildHTTPConnectionManager). */

import { bool, duration, packAny } from "@meltemi/protos";
import type { Http1ProtocolOptions } from "@meltemi/protos/envoy/config/core/v3";
import type { Filter } from "@meltemi/protos/envoy/config/listener/v3";
import type { RouteConfiguration } from "@meltemi/protos/envoy/config/route/v3";
import type { DnsCacheConfig } from "@meltemi/protos/envoy/extensions/common/dynamic_forward_proxy/v3";
import type { HttpConnectionManager } from "@meltemi/protos/envoy/extensions/filters/network/http_connection_manager/v3";
import type { MeshConfig } from "../../api/mesh-config/schema.ts";
import type { Protocol } from "../../lib/protocol.ts";
import { buildHttpFilters } from "../http-filters/order.ts";
import { compareRanges, parseCidrRange } from "../listeners/addresses.ts";
import { buildHttpAccessLogs } from "../telemetry/access-log.ts";
import { deriveProxyHeaders, type ProxyHeaders } from "../telemetry/proxy-headers.ts";
import { buildTracing } from "../telemetry/tracing.ts";
import { applyConnectionSettings, resolveConnectionSettings } from "./connection-settings.ts";
import { type FilterFacts, type ListenerClass, supports } from "./filter-facts.ts";

export interface HttpConnectionManagerOptions {
  readonly facts: FilterFacts;
  readonly listenerClass: ListenerClass;
  /** With its delimiter: "outbound_0.0.0.0_80;". */
  readonly statPrefix: string;
  /** The name of a route configuration to ask for, or the configuration itself. */
  readonly routes: string | RouteConfiguration;
  /** Protocol of the port; where services share a listener, that of the first. */
  readonly protocol: Protocol;
  /** Where names of requests are looked up that go to whatever host they name; none where not given. */
  readonly dnsCaches?: readonly DnsCacheConfig[];
  /**
   * True where the proxy is the first of the mesh to see a request, and takes the address it comes from for the
   * client's: gateways.
   */
  readonly usesRemoteAddress?: boolean;
  /** True where metadata exchange tells hosts outside of the mesh about the workload, whatever the mesh says. */
  readonly sendsMetadataToAll?: boolean;
  /** Fields of this listener alone; they come before the others, those of HTTP/1 beside them. */
  readonly fields?: HttpConnectionManager;
}

// 0s waits without end: Envoy then keeps a listener out of use until its routes are there, instead of answering 404.
const rdsSource = { ads: {}, initial_fetch_timeout: duration(0), resource_api_version: "V3" } as const;

const requestIdExtension = {
  typed_config: packAny("envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig", {
    use_request_id_for_trace_sampling: bool(true),
  }),
};

const preserveCaseFormat: Http1ProtocolOptions = {
  header_key_format: {
    stateful_formatter: {
      name: "envoy.http.stateful_header_formatters.preserve_case",
      typed_config: packAny("envoy.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig", {}),
    },
  },
};

/** `outbound_0.0.0.0_80;`: the ";" ends the listener's name for the patterns that make labels of statistics. */
export function buildStatPrefix(direction: "inbound" | "outbound", listener: string): string {
  return `${direction}_${listener};`;
}

/** A connection manager as the one filter that ends an HTTP chain. */
export function buildHttpConnectionManagerFilter(options: HttpConnectionManagerOptions): Filter {
  return {
    name: "envoy.filters.network.http_connection_manager",
    typed_config: packAny(
      "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
      buildHttpConnectionManager(options),
    ),
  };
}

export function buildHttpConnectionManager(options: HttpConnectionManagerOptions): HttpConnectionManager {
  const { facts, listenerClass, routes } = options;
  const headers = {
    ...deriveProxyHeaders(facts.mesh, listenerClass),
    ...(options.sendsMetadataToAll === true ? { meshOnlyMetadataHeaders: false } : {}),
  };
  const logs = buildHttpAccessLogs(facts.mesh);
  const tracing = buildTracing(facts);
  const { http_protocol_options: ownHttp1, ...own } = options.fields ?? {};
  const http1 = { ...ownHttp1, ...buildHttp1Options(facts, headers) };
  const manager: HttpConnectionManager = {
    stat_prefix: options.statPrefix,
    ...(typeof routes === "string"
      ? { rds: { config_source: rdsSource, route_config_name: routes } }
      : { route_config: routes }),
    http_filters: buildHttpFilters({
      facts,
      listenerClass,
      protocol: options.protocol,
      headers,
      dnsCaches: options.dnsCaches ?? [],
    }),
    ...(tracing === undefined ? {} : { tracing }),
    ...buildIdleTimeout(facts),
    ...(ownHttp1 === undefined && Object.keys(http1).length === 0 ? {} : { http_protocol_options: http1 }),
    ...(logs.length === 0 ? {} : { access_log: logs }),
    use_remote_address: bool(options.usesRemoteAddress === true),
    ...buildInternalAddresses(options),
    ...(facts.features.continueHeaders ? { proxy_100_continue: true } : {}),
    upgrade_configs: [{ upgrade_type: "websocket" }],
    // Streams may be idle for long (websockets, gRPC); what limits them are timeouts of routes.
    stream_idle_timeout: duration(0),
    ...buildPathNormalization(facts.mesh),
    request_id_extension: requestIdExtension,
    ...headers.connectionManager,
    ...(listenerClass === "sidecarInbound" ? headers.clientCert : {}),
    ...own,
  };
  return applyConnectionSettings(manager, resolveConnectionSettings(facts.mesh, listenerClass));
}

function buildIdleTimeout({ idleTimeoutMs }: FilterFacts): HttpConnectionManager {
  if (idleTimeoutMs === undefined) return {};
  return { common_http_protocol_options: { idle_timeout: duration(idleTimeoutMs) } };
}

/**
 * Addresses of the mesh's networks are internal: where the address of a client counts, headers of Envoy's own from there
 * are to be believed. Without this no address is.
 */
function buildInternalAddresses({ facts, usesRemoteAddress }: HttpConnectionManagerOptions): HttpConnectionManager {
  if (usesRemoteAddress !== true && !facts.features.internalNetworks) return {};
  const ranges = [...facts.internalRanges].sort(compareRanges).flatMap((text) => parseCidrRange(text) ?? []);
  return ranges.length === 0 ? {} : { internal_address_config: { cidr_ranges: ranges } };
}

function buildHttp1Options(facts: FilterFacts, headers: ProxyHeaders): Http1ProtocolOptions {
  const preserves =
    headers.preservesHeaderCase && supports(facts, "envoy.http.stateful_header_formatters.preserve_case");
  return { ...(facts.acceptHttp10 ? { accept_http_10: true } : {}), ...(preserves ? preserveCaseFormat : {}) };
}

/** Istio: MeshConfig.pathNormalization; policies that match on paths rest on it. */
function buildPathNormalization({ pathNormalization }: MeshConfig): HttpConnectionManager {
  switch (pathNormalization?.normalization) {
    case "NONE":
      return { normalize_path: bool(false), path_with_escaped_slashes_action: "KEEP_UNCHANGED" };
    case "MERGE_SLASHES":
      return { normalize_path: bool(true), merge_slashes: true, path_with_escaped_slashes_action: "KEEP_UNCHANGED" };
    case "DECODE_AND_MERGE_SLASHES":
      return {
        normalize_path: bool(true),
        merge_slashes: true,
        path_with_escaped_slashes_action: "UNESCAPE_AND_FORWARD",
      };
    default:
      return { normalize_path: bool(true), path_with_escaped_slashes_action: "KEEP_UNCHANGED" };
  }
}
