/** The scalar settings of a connection manager, compiled: all that does not depend on requests. */

import { durationToMs, unpackAs } from "@meltemi/protos";
import type { HttpProtocolOptions, TypedExtensionConfig } from "@meltemi/protos/envoy/config/core/v3";
import type { HttpConnectionManager } from "@meltemi/protos/envoy/extensions/filters/network/http_connection_manager/v3";
import type { Duration } from "@meltemi/protos/google/protobuf";
import type { NetworkFilterEnv } from "../config/env.ts";
import { ConfigError, compileAll, within } from "../lib/config-error.ts";
import { wrappedBool, wrappedNumber } from "../lib/wrapped.ts";
import { compileCidrs } from "../matchers/cidr.ts";
import { compileHeaderMutation, type HeaderMutation } from "../router/header-mutation.ts";
import { compileHeaderCase } from "../upstream/pool/header-case.ts";
import { compileDetection, findForwardedFor } from "./client-address.ts";
import type { HostOptions } from "./host-rules.ts";
import { NameTable } from "./http1/name-table.ts";
import type { Http1Options } from "./http1/options.ts";
import { compileHttp2Options, type Http2Options } from "./http2/options.ts";
import { findLocalAddress } from "./local-address.ts";
import type { PathOptions } from "./path-rules.ts";
import { refuseUnknown } from "./refuse-unknown.ts";
import type { RequestRules } from "./request-rules.ts";

/** Milliseconds; 0 switches a limit off. */
export interface Timeouts {
  readonly connectionIdleMs: number;
  readonly connectionDurationMs: number;
  readonly streamIdleMs: number;
  readonly streamDurationMs: number;
  readonly requestMs: number;
  readonly headMs: number;
  readonly drainMs: number;
}

export interface Settings {
  readonly codec: "AUTO" | "HTTP1" | "HTTP2";
  readonly statPrefix: string;
  readonly rules: RequestRules;
  readonly timeouts: Timeouts;
  /** How often limits are looked at, in milliseconds. */
  readonly sweepMs: number;
  /** 0: no limit. */
  readonly maxRequestsPerConnection: number;
  readonly http1: Http1Options;
  readonly http2: Http2Options;
  readonly server: {
    readonly name: string;
    readonly transformation: "OVERWRITE" | "APPEND_IF_ABSENT" | "PASS_THROUGH";
  };
  readonly via: string;
  readonly showsRequestId: boolean;
  readonly proxies100: boolean;
  readonly logging: LogMoments;
}

/** When a line is logged other than at the end of a request. */
export interface LogMoments {
  readonly atStart: boolean;
  readonly atTunnel: boolean;
  /** Milliseconds; 0: never. */
  readonly periodMs: number;
}

/** Throws ConfigError. */
export function compileSettings(wire: HttpConnectionManager, env: NetworkFilterEnv): Settings {
  refuseUnknown(wire);
  const codec = wire.codec_type ?? "AUTO";
  if (codec === "HTTP3") throw new ConfigError("codec_type", "HTTP3 is not implemented");
  if ((wire.stat_prefix ?? "") === "") throw new ConfigError("stat_prefix", "is required");
  const common = wire.common_http_protocol_options ?? {};
  const timeouts = compileTimeouts(wire, common);
  const logging = compileLogging(wire);
  return {
    codec,
    statPrefix: wire.stat_prefix ?? "",
    rules: compileRules(wire, env),
    timeouts,
    sweepMs: sweepPeriod(timeouts, logging),
    maxRequestsPerConnection: wrappedNumber(common.max_requests_per_connection, 0),
    http1: compileHttp1(wire, common),
    http2: within("http2_protocol_options", () =>
      compileHttp2Options(wire.http2_protocol_options, limitsOf(wire, common), delayedCloseMs(wire)),
    ),
    server: {
      name: wire.server_name === undefined || wire.server_name === "" ? "envoy" : wire.server_name,
      transformation: wire.server_header_transformation ?? "OVERWRITE",
    },
    via: wire.via ?? "",
    showsRequestId: wire.always_set_request_id_in_response === true,
    proxies100: wire.proxy_100_continue === true,
    logging,
  };
}

function limitsOf(wire: HttpConnectionManager, common: HttpProtocolOptions) {
  return {
    maxHeadBytes: wrappedNumber(wire.max_request_headers_kb, 60) * 1_024,
    maxHeaders: wrappedNumber(common.max_headers_count, 100),
    underscores: common.headers_with_underscores_action ?? "ALLOW",
  } as const;
}

function compileTimeouts(wire: HttpConnectionManager, common: HttpProtocolOptions): Timeouts {
  return {
    connectionIdleMs: msOf(common.idle_timeout, 3_600_000),
    connectionDurationMs: msOf(common.max_connection_duration, 0),
    streamIdleMs: msOf(wire.stream_idle_timeout, 300_000),
    streamDurationMs: msOf(common.max_stream_duration, 0),
    requestMs: msOf(wire.request_timeout, 0),
    headMs: msOf(wire.request_headers_timeout, 0),
    drainMs: msOf(wire.drain_timeout, 5_000),
  };
}

/** A tenth of the shortest limit, so that none is much exceeded. How long a stream may last has a timer of its own. */
function sweepPeriod(timeouts: Timeouts, { periodMs }: LogMoments): number {
  const limits = Object.values({ ...timeouts, streamDurationMs: 0, periodMs });
  const shortest = Math.min(...limits.filter((value: number) => value > 0), 5_000);
  return Math.max(10, Math.ceil(shortest / 10));
}

function compileLogging(wire: HttpConnectionManager): LogMoments {
  const options = wire.access_log_options ?? {};
  return {
    atStart: options.flush_access_log_on_new_request ?? wire.flush_access_log_on_new_request ?? false,
    atTunnel: options.flush_log_on_tunnel_successfully_established ?? false,
    periodMs: msOf(options.access_log_flush_interval ?? wire.access_log_flush_interval, 0),
  };
}

function msOf(wire: Duration | undefined, otherwise: number): number {
  return wire === undefined ? otherwise : durationToMs(wire);
}

function delayedCloseMs(wire: HttpConnectionManager): number {
  return msOf(wire.delayed_close_timeout, 1_000);
}

function compileHttp1(wire: HttpConnectionManager, common: HttpProtocolOptions): Http1Options {
  const options = wire.http_protocol_options ?? {};
  return {
    ...limitsOf(wire, common),
    acceptsHttp10: options.accept_http_10 === true,
    defaultHost: options.default_host_for_http_10 ?? "",
    allowsAbsoluteUrl: wrappedBool(options.allow_absolute_url, true),
    allowsChunkedLength: options.allow_chunked_length === true,
    allowsCustomMethods: options.allow_custom_methods === true,
    hasTrailers: options.enable_trailers === true,
    keyFormat: compileHeaderCase(options.header_key_format),
    delayedCloseMs: delayedCloseMs(wire),
    names: new NameTable(),
  };
}

function compileRules(wire: HttpConnectionManager, env: NetworkFilterEnv): RequestRules {
  const hops = wire.xff_num_trusted_hops ?? 0;
  const extensions = wire.original_ip_detection_extensions ?? [];
  const usesRemoteAddress = wire.use_remote_address?.value === true;
  if (usesRemoteAddress && extensions.length > 0) {
    throw new ConfigError("original_ip_detection_extensions", "cannot be used with use_remote_address");
  }
  if (extensions.length > 0 && hops > 0) {
    throw new ConfigError("original_ip_detection_extensions", "cannot be used with xff_num_trusted_hops");
  }
  const cluster = env.node.cluster ?? "";
  const ranges = wire.internal_address_config?.cidr_ranges ?? [];
  const isInRange = within("internal_address_config.cidr_ranges", () => compileCidrs(ranges));
  const hasInternalSockets = wire.internal_address_config?.unix_sockets === true;
  return {
    path: compilePath(wire),
    host: compileHost(wire),
    usesRemoteAddress,
    trustedHops: hops,
    appendsForwardedFor: wire.skip_xff_append !== true,
    mapsIpv4: wire.represent_ipv4_remote_address_as_ipv4_mapped_ipv6 === true,
    appendsPort: wire.append_x_forwarded_port === true,
    detectClient:
      extensions.length > 0
        ? compileDetection(extensions)
        : (request) => findForwardedFor(request.headers.joined("x-forwarded-for"), hops),
    isInternal: (ip) => (ip.includes("/") ? hasInternalSockets : isInRange(ip)),
    localAddress: findLocalAddress(),
    scheme: compileScheme(wire),
    userAgent: wire.add_user_agent?.value === true ? { cluster, node: env.node.id ?? "" } : undefined,
    via: wire.via ?? "",
    generatesRequestId: wrappedBool(wire.generate_request_id, true),
    preservesRequestId: wire.preserve_external_request_id === true,
    certificate: {
      forward: wire.forward_client_cert_details ?? "SANITIZE",
      details: wire.set_current_client_cert_details ?? {},
    },
    early: compileAll("early_header_mutation_extensions", wire.early_header_mutation_extensions, compileEarly).flat(),
  };
}

function compilePath(wire: HttpConnectionManager): PathOptions {
  const kinds = {
    IMPLEMENTATION_SPECIFIC_DEFAULT: "keep",
    KEEP_UNCHANGED: "keep",
    REJECT_REQUEST: "reject",
    UNESCAPE_AND_REDIRECT: "redirect",
    UNESCAPE_AND_FORWARD: "forward",
  } as const;
  return {
    normalizes: wrappedBool(wire.normalize_path, false),
    mergesSlashes: wire.merge_slashes === true,
    escapedSlashes: kinds[wire.path_with_escaped_slashes_action ?? "IMPLEMENTATION_SPECIFIC_DEFAULT"],
  };
}

function compileHost(wire: HttpConnectionManager): HostOptions {
  if (wire.strip_any_host_port === true && wire.strip_matching_host_port === true) {
    throw new ConfigError("strip_any_host_port", "cannot be used with strip_matching_host_port");
  }
  const matching = wire.strip_matching_host_port === true ? "strip-matching" : "keep";
  return {
    port: wire.strip_any_host_port === true ? "strip" : matching,
    stripsDot: wire.strip_trailing_host_dot === true,
  };
}

function compileScheme(wire: HttpConnectionManager): "http" | "https" | undefined {
  const scheme = wire.scheme_header_transformation?.scheme_to_overwrite ?? "";
  if (wire.scheme_header_transformation?.match_upstream === true) {
    throw new ConfigError("scheme_header_transformation.match_upstream", "is not implemented");
  }
  if (scheme === "") return undefined;
  if (scheme !== "http" && scheme !== "https") {
    throw new ConfigError("scheme_header_transformation.scheme_to_overwrite", "must be http or https");
  }
  return scheme;
}

const earlyMutation = "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation";

function compileEarly({ name = "", typed_config: any }: TypedExtensionConfig): readonly HeaderMutation[] {
  const wire = any === undefined ? undefined : unpackAs(earlyMutation, any);
  if (wire === undefined) throw new ConfigError("", `the early header mutation ${name} is not implemented`);
  return compileAll("mutations", wire.mutations, ({ append, remove, ...others }) => {
    const [other] = Object.entries(others).filter(([, value]) => value !== undefined);
    if (other !== undefined) throw new ConfigError(other[0], "is not implemented");
    const mutation = compileHeaderMutation(
      append === undefined ? [] : [append],
      remove === undefined || remove === "" ? [] : [remove],
      "request",
    );
    return mutation ?? (() => undefined);
  });
}
