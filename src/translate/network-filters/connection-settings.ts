/** ProxyConfig.connectionSettings on the wire (Istio: networking/core/connection_settings.go). */
import { u32 } from "@meltemi/protos";
import type { Http2ProtocolOptions, HttpProtocolOptions } from "@meltemi/protos/envoy/config/core/v3";
import type { HttpConnectionManager } from "@meltemi/protos/envoy/extensions/filters/network/http_connection_manager/v3";
import type { ConnectionSettings } from "../../api/mesh-config/connection-settings.ts";
import type { MeshConfig } from "../../api/mesh-config/schema.ts";
import { memoByIdentity } from "../../lib/memo.ts";
import { toOptionalDuration } from "../durations.ts";
import type { ListenerClass } from "./filter-facts.ts";

/** What Envoy's advice for proxies at the edge says, where nobody states it. */
const edgeDefaults: ConnectionSettings = {
  listenerPerConnectionBufferLimitBytes: 32_768,
  httpIdleTimeout: "1h",
  httpStreamIdleTimeout: "5m",
  httpRequestTimeout: "5m",
  httpRequestHeadersTimeout: "60s",
  httpMaxConcurrentStreams: 100,
  http2InitialStreamWindowSize: 65_536,
  http2InitialConnectionWindowSize: 1_048_576,
  httpHeadersWithUnderscoresAction: "HEADERS_WITH_UNDERSCORES_REJECT_REQUEST",
  httpMergeSlashes: true,
  httpPathWithEscapedSlashesAction: "UNESCAPE_AND_REDIRECT",
};

/** The mesh's settings for a listener; profile EDGE fills up those of gateways. Empty where there are none. */
export function resolveConnectionSettings(
  { defaultConfig }: MeshConfig,
  listenerClass: ListenerClass,
): ConnectionSettings {
  const stated = dropUnspecified(defaultConfig);
  return stated.profile === "EDGE" && listenerClass === "gateway" ? { ...edgeDefaults, ...stated } : stated;
}

const dropUnspecified = memoByIdentity(
  ({ connectionSettings = {} }: MeshConfig["defaultConfig"]): ConnectionSettings =>
    Object.fromEntries(Object.entries(connectionSettings).filter(([, value]) => !isUnspecified(value))),
);

function isUnspecified(value: unknown): boolean {
  return typeof value === "string" && value.endsWith("_UNSPECIFIED");
}

/** The manager with the settings, which come before what the mesh and the proxy itself say. */
export function applyConnectionSettings(
  manager: HttpConnectionManager,
  settings: ConnectionSettings,
): HttpConnectionManager {
  if (Object.keys(settings).length === 0) return manager;
  const common = withoutUndefined<HttpProtocolOptions>({
    idle_timeout: toOptionalDuration(settings.httpIdleTimeout),
    max_connection_duration: toOptionalDuration(settings.httpMaxConnectionDuration),
    max_stream_duration: toOptionalDuration(settings.httpMaxStreamDuration),
    headers_with_underscores_action: convertUnderscores(settings.httpHeadersWithUnderscoresAction),
  });
  const http2 = withoutUndefined<Http2ProtocolOptions>({
    max_concurrent_streams: toOptionalNumber(settings.httpMaxConcurrentStreams),
    initial_stream_window_size: toOptionalNumber(settings.http2InitialStreamWindowSize),
    initial_connection_window_size: toOptionalNumber(settings.http2InitialConnectionWindowSize),
  });
  return {
    ...manager,
    ...(common === undefined
      ? {}
      : { common_http_protocol_options: { ...manager.common_http_protocol_options, ...common } }),
    ...(http2 === undefined ? {} : { http2_protocol_options: { ...manager.http2_protocol_options, ...http2 } }),
    ...buildTimeouts(settings),
    ...(settings.httpMergeSlashes === undefined ? {} : { merge_slashes: settings.httpMergeSlashes }),
    ...convertEscapedSlashes(settings.httpPathWithEscapedSlashesAction),
  };
}

function buildTimeouts(settings: ConnectionSettings): HttpConnectionManager {
  return (
    withoutUndefined<HttpConnectionManager>({
      stream_idle_timeout: toOptionalDuration(settings.httpStreamIdleTimeout),
      request_timeout: toOptionalDuration(settings.httpRequestTimeout),
      request_headers_timeout: toOptionalDuration(settings.httpRequestHeadersTimeout),
      drain_timeout: toOptionalDuration(settings.httpDrainTimeout),
    }) ?? {}
  );
}

type Underscores = NonNullable<HttpProtocolOptions["headers_with_underscores_action"]>;

function convertUnderscores(action: ConnectionSettings["httpHeadersWithUnderscoresAction"]): Underscores | undefined {
  switch (action) {
    case "HEADERS_WITH_UNDERSCORES_REJECT_REQUEST":
      return "REJECT_REQUEST";
    case "HEADERS_WITH_UNDERSCORES_DROP_HEADER":
      return "DROP_HEADER";
    default:
      return undefined;
  }
}

function convertEscapedSlashes(
  action: ConnectionSettings["httpPathWithEscapedSlashesAction"],
): Pick<HttpConnectionManager, "path_with_escaped_slashes_action"> {
  return action === undefined || action === "PATH_WITH_ESCAPED_SLASHES_UNSPECIFIED"
    ? {}
    : { path_with_escaped_slashes_action: action };
}

function toOptionalNumber(value: number | undefined): ReturnType<typeof u32> | undefined {
  return value === undefined ? undefined : u32(value);
}

/** The fields that are there; undefined where none is. */
function withoutUndefined<Fields extends object>(
  fields: {
    readonly [name in keyof Fields]: Fields[name] | undefined;
  },
): Fields | undefined {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined);
  return entries.length === 0 ? undefined : (Object.fromEntries(entries) as Fields);
}
