/**
 * Access logs as the mesh configuration asks for them: accessLogFile with its format, enableEnvoyAccessLogService (Istio: model/telemetry_logging.go
 * and networking/core/accesslog.go).
 */
import { type Json, packAny, struct } from "@meltemi/protos";
import type { AccessLog } from "@meltemi/protos/envoy/config/accesslog/v3";
import type { SubstitutionFormatString, TypedExtensionConfig } from "@meltemi/protos/envoy/config/core/v3";
import type { TcpGrpcAccessLogConfig } from "@meltemi/protos/envoy/extensions/access_loggers/grpc/v3";
import type { MeshConfig } from "../../api/mesh-config/schema.ts";
import { memoByIdentity } from "../../lib/memo.ts";

const fileLogger = "envoy.access_loggers.file";

/** What metadata exchange leaves in the state of a connection, by its present names and those of older proxies. */
const peerStates = [
  "upstream_peer",
  "downstream_peer",
  "wasm.upstream_peer",
  "wasm.upstream_peer_id",
  "wasm.downstream_peer",
  "wasm.downstream_peer_id",
] as const;

/** Istio's default line, the same for HTTP and TCP. */
const defaultText =
  '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% ' +
  '%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% ' +
  '%BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" ' +
  '"%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% ' +
  "%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n";

/** Istio's default members of a JSON line. */
const defaultJson: { readonly [name: string]: string } = {
  start_time: "%START_TIME%",
  route_name: "%ROUTE_NAME%",
  method: "%REQ(:METHOD)%",
  path: "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
  protocol: "%PROTOCOL%",
  response_code: "%RESPONSE_CODE%",
  response_flags: "%RESPONSE_FLAGS%",
  response_code_details: "%RESPONSE_CODE_DETAILS%",
  connection_termination_details: "%CONNECTION_TERMINATION_DETAILS%",
  bytes_received: "%BYTES_RECEIVED%",
  bytes_sent: "%BYTES_SENT%",
  duration: "%DURATION%",
  upstream_service_time: "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
  x_forwarded_for: "%REQ(X-FORWARDED-FOR)%",
  user_agent: "%REQ(USER-AGENT)%",
  request_id: "%REQ(X-REQUEST-ID)%",
  authority: "%REQ(:AUTHORITY)%",
  upstream_host: "%UPSTREAM_HOST%",
  upstream_cluster: "%UPSTREAM_CLUSTER_RAW%",
  upstream_local_address: "%UPSTREAM_LOCAL_ADDRESS%",
  downstream_local_address: "%DOWNSTREAM_LOCAL_ADDRESS%",
  downstream_remote_address: "%DOWNSTREAM_REMOTE_ADDRESS%",
  requested_server_name: "%REQUESTED_SERVER_NAME%",
  upstream_transport_failure_reason: "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
};

/** The command that Envoy knows only where the format names the extension for it. */
const queryCommand = "%REQ_WITHOUT_QUERY";
const queryFormatter: TypedExtensionConfig = {
  name: "envoy.formatter.req_without_query",
  typed_config: packAny("envoy.extensions.formatter.req_without_query.v3.ReqWithoutQuery", {}),
};

/** Only of connections that no filter chain takes. */
const unmatchedOnly = { response_flag_filter: { flags: ["NR"] } } as const;

/** Logs of HTTP requests; empty where the mesh names neither a file nor asks for the service. */
export const buildHttpAccessLogs: (mesh: MeshConfig) => readonly AccessLog[] = memoByIdentity(
  (mesh: MeshConfig): readonly AccessLog[] => {
    if (mesh.enableEnvoyAccessLogService !== true) return buildFileLogs(mesh);
    const config = describeService("http_envoy_accesslog");
    return [
      ...buildFileLogs(mesh),
      {
        name: "envoy.access_loggers.http_grpc",
        typed_config: packAny("envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig", config),
      },
    ];
  },
);

/** Logs of TCP connections; empty where the mesh names neither a file nor asks for the service. */
export const buildTcpAccessLogs: (mesh: MeshConfig) => readonly AccessLog[] = memoByIdentity(
  (mesh: MeshConfig): readonly AccessLog[] => [
    ...buildFileLogs(mesh),
    ...buildTcpServiceLogs(mesh, "tcp_envoy_accesslog"),
  ],
);

/**
 * Logs of the listener itself: only of connections that no filter chain takes, which no other log would show. Everything
 * else is logged by the filters of the chain.
 */
export const buildListenerAccessLogs: (mesh: MeshConfig) => readonly AccessLog[] = memoByIdentity(
  (mesh: MeshConfig): readonly AccessLog[] => {
    if (mesh.disableEnvoyListenerLog === true) return [];
    const logs = [...buildFileLogs(mesh), ...buildTcpServiceLogs(mesh, "listener_envoy_accesslog")];
    return logs.map((log) => ({ filter: unmatchedOnly, ...log }));
  },
);

const buildFileLogs: (mesh: MeshConfig) => readonly AccessLog[] = memoByIdentity(
  (mesh: MeshConfig): readonly AccessLog[] => {
    if (mesh.accessLogFile === "") return [];
    const config = { path: mesh.accessLogFile, log_format: buildFormat(mesh) };
    return [
      { name: fileLogger, typed_config: packAny("envoy.extensions.access_loggers.file.v3.FileAccessLog", config) },
    ];
  },
);

function buildTcpServiceLogs(mesh: MeshConfig, name: string): readonly AccessLog[] {
  if (mesh.enableEnvoyAccessLogService !== true) return [];
  const config = describeService(name);
  return [
    {
      name: "envoy.tcp_grpc_access_log",
      typed_config: packAny("envoy.extensions.access_loggers.grpc.v3.TcpGrpcAccessLogConfig", config),
    },
  ];
}

/** The service of ProxyConfig.envoyAccessLogService, whose cluster stands in the proxy's bootstrap. */
function describeService(name: string): TcpGrpcAccessLogConfig {
  return {
    common_config: {
      log_name: name,
      grpc_service: { envoy_grpc: { cluster_name: "envoy_accesslog_service" } },
      transport_api_version: "V3",
      filter_state_objects_to_log: peerStates,
    },
  };
}

function buildFormat(mesh: MeshConfig): SubstitutionFormatString {
  const format =
    mesh.accessLogEncoding === "JSON" ? buildJsonFormat(mesh.accessLogFormat) : buildTextFormat(mesh.accessLogFormat);
  return mesh.accessLogFormat.includes(queryCommand) ? { ...format, formatters: [queryFormatter] } : format;
}

function buildTextFormat(format: string): SubstitutionFormatString {
  // Envoy writes lines exactly as they are, so a format without a line end would run together.
  const text = format === "" || format.endsWith("\n") ? format : `${format}\n`;
  return { text_format_source: { inline_string: text === "" ? defaultText : text } };
}

function buildJsonFormat(format: string): SubstitutionFormatString {
  return { json_format: struct(parseMembers(format) ?? defaultJson), json_format_options: { sort_properties: false } };
}

/** The members of a format that somebody wrote; undefined where it is no JSON object, and Istio's own then applies. */
function parseMembers(format: string): { readonly [name: string]: Json } | undefined {
  if (format === "") return undefined;
  try {
    const parsed: unknown = JSON.parse(format);
    return isMembers(parsed) ? parsed : undefined;
  } catch {
    return undefined;
  }
}

function isMembers(value: unknown): value is { readonly [name: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
