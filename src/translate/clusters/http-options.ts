/** Which HTTP a cluster speaks, and its limits (Istio: cluster_builder.go setUpstreamProtocol, applyH2Upgrade). */

import { packAny, u32 } from "@meltemi/protos";
import type { Cluster } from "@meltemi/protos/envoy/config/cluster/v3";
import type {
  HttpProtocolOptions as CommonHttpOptions,
  Http1ProtocolOptions,
  Http2ProtocolOptions,
} from "@meltemi/protos/envoy/config/core/v3";
import type { HttpProtocolOptions } from "@meltemi/protos/envoy/extensions/upstreams/http/v3";
import type { MeshConfig } from "../../api/mesh-config/schema.ts";
import { isHttp, isHttp2, isUnsupported, type Protocol } from "../../lib/protocol.ts";
import { toOptionalDuration } from "../durations.ts";
import { positive } from "./connection-pool.ts";
import type { EffectivePolicy } from "./traffic-policy.ts";

const optionsType = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/** How the cluster decides its version of HTTP: HTTP/2, HTTP/1.1 with options, as the client does, or Envoy's default. */
export type UpstreamHttp = "http2" | "http1" | "downstream" | "default";

export interface HttpTraffic {
  readonly protocol: Protocol;
  readonly policy: EffectivePolicy | undefined;
  readonly mesh: MeshConfig;
  /** Only sidecars find out the protocol of a connection by looking at it; gateways do not. */
  readonly detectsProtocol: boolean;
  /** False on the inbound side: what the client chose was meant for the mesh, not for the application. */
  readonly mayUpgrade: boolean;
}

const preserveCase: Http1ProtocolOptions = {
  header_key_format: {
    stateful_formatter: {
      name: "preserve_case",
      typed_config: packAny("envoy.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig", {}),
    },
  },
};

export function selectUpstreamHttp(traffic: HttpTraffic): UpstreamHttp {
  const { protocol, policy, mesh } = traffic;
  const http = policy?.connectionPool?.http;
  if (http?.useClientProtocol === true) return "downstream";
  if (isHttp2(protocol)) return "http2";
  if (traffic.detectsProtocol && isUnsupported(protocol)) return "downstream";
  // An upgrade fills in what is open: it changes neither a protocol that is found out nor one that keeps its letters.
  if (preservesCase(traffic)) return "http1";
  return traffic.mayUpgrade && isUpgraded(protocol, http?.h2UpgradePolicy, mesh) ? "http2" : "default";
}

/** Options of the cluster; undefined where Envoy's defaults will do. `upstreamTls` is what TLS adds (auto_sni …). */
export function buildHttpOptions(
  traffic: HttpTraffic,
  upstreamTls: HttpProtocolOptions["upstream_http_protocol_options"],
): HttpProtocolOptions | undefined {
  const options: HttpProtocolOptions = {
    ...buildCommonOptions(traffic.policy),
    ...buildVersion(traffic),
    ...buildErrorMatcher(traffic.policy?.outlierDetection?.outlierDetectionHttpErrorCodes ?? []),
    ...(upstreamTls === undefined ? {} : { upstream_http_protocol_options: upstreamTls }),
  };
  if (Object.keys(options).length === 0) return undefined;
  // Envoy refuses options that leave the version open (Istio: cluster_builder.go build).
  const isOpen = !("explicit_http_config" in options) && !("use_downstream_protocol_config" in options);
  return isOpen ? { ...options, explicit_http_config: { http_protocol_options: {} } } : options;
}

/** The field of a cluster that carries the options. */
export function packHttpOptions(
  options: HttpProtocolOptions | undefined,
): Pick<Cluster, "typed_extension_protocol_options"> {
  return options === undefined
    ? {}
    : { typed_extension_protocol_options: { [optionsType]: packAny(optionsType, options) } };
}

function buildVersion(traffic: HttpTraffic): HttpProtocolOptions {
  const http1 = preservesCase(traffic) ? preserveCase : {};
  switch (selectUpstreamHttp(traffic)) {
    case "http2":
      return { explicit_http_config: { http2_protocol_options: buildHttp2Options(traffic.policy) } };
    case "downstream":
      return { use_downstream_protocol_config: { http_protocol_options: http1, http2_protocol_options: {} } };
    case "http1":
      return { explicit_http_config: { http_protocol_options: http1 } };
    case "default":
      return {};
  }
}

/** Which statuses count as errors of a host, instead of those from 500 to 599 (Istio 1.31). */
function buildErrorMatcher(codes: readonly number[]): Pick<HttpProtocolOptions, "outlier_detection"> {
  const rules = codes.map((code) => ({
    http_response_headers_match: { headers: [{ name: ":status", string_match: { exact: String(code) } }] },
  }));
  const [first] = rules;
  if (first === undefined) return {};
  // Envoy wants at least two rules in a list of alternatives.
  return { outlier_detection: { error_matcher: rules.length === 1 ? first : { or_match: { rules } } } };
}

function buildHttp2Options(policy: EffectivePolicy | undefined): Http2ProtocolOptions {
  const http = policy?.connectionPool?.http;
  const streams = positive(http?.maxConcurrentStreams);
  const interval = toOptionalDuration(http?.http2KeepAlive?.interval);
  const timeout = toOptionalDuration(http?.http2KeepAlive?.timeout);
  const keepalive = {
    ...(interval === undefined ? {} : { interval }),
    ...(timeout === undefined ? {} : { timeout }),
  };
  return {
    ...(streams === undefined ? {} : { max_concurrent_streams: u32(streams) }),
    // Envoy requires the timeout.
    ...(timeout === undefined ? {} : { connection_keepalive: keepalive }),
  };
}

function buildCommonOptions(policy: EffectivePolicy | undefined): HttpProtocolOptions {
  const { tcp, http } = policy?.connectionPool ?? {};
  const idleTimeout = toOptionalDuration(http?.idleTimeout ?? tcp?.idleTimeout);
  const maxDuration = toOptionalDuration(tcp?.maxConnectionDuration);
  const maxRequests = positive(http?.maxRequestsPerConnection);
  const isSet =
    idleTimeout !== undefined ||
    maxDuration !== undefined ||
    maxRequests !== undefined ||
    http?.http2KeepAlive !== undefined ||
    positive(http?.maxConcurrentStreams) !== undefined;
  if (!isSet) return {};
  const common: CommonHttpOptions = {
    ...(idleTimeout === undefined ? {} : { idle_timeout: idleTimeout }),
    ...(maxRequests === undefined ? {} : { max_requests_per_connection: u32(maxRequests) }),
    ...(maxDuration === undefined ? {} : { max_connection_duration: maxDuration }),
  };
  return { common_http_protocol_options: common };
}

/** A rule may upgrade any port, for its writer knows that it is HTTP; the mesh upgrades only ports named so. */
function isUpgraded(protocol: Protocol, override: string | undefined, mesh: MeshConfig): boolean {
  if (override === "UPGRADE") return true;
  if (override === "DO_NOT_UPGRADE") return false;
  return isHttp(protocol) && mesh.h2UpgradePolicy === "UPGRADE";
}

function preservesCase({ protocol, mesh }: HttpTraffic): boolean {
  return keepsHeaderCase(mesh) && (isHttp(protocol) || isUnsupported(protocol)) && !isHttp2(protocol);
}

function keepsHeaderCase(mesh: MeshConfig): boolean {
  return mesh.defaultConfig.proxyHeaders?.preserveHttp1HeaderCase === true;
}

/** HTTP/1.1 of clusters that stand for no port of a service. */
export function buildHttp1Options(mesh: MeshConfig): Http1ProtocolOptions {
  return keepsHeaderCase(mesh) ? preserveCase : {};
}
