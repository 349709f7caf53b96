/**
 * Values of headers. Envoy reads `%COMMAND%` in them (configuration/observability/access_log/usage, "command operators")
 * and refuses a whole table of routes for one command that it does not know or a percent sign without one.
 */

const ends = ["ADDRESS", "ADDRESS_WITHOUT_PORT", "PORT"];
const addresses = ["REMOTE", "DIRECT_REMOTE", "LOCAL", "DIRECT_LOCAL"].flatMap((side) =>
  ends.map((end) => `DOWNSTREAM_${side}_${end}`),
);
const upstreamAddresses = ["REMOTE", "LOCAL"].flatMap((side) => ends.map((end) => `UPSTREAM_${side}_${end}`));
const byteCounts = ["UPSTREAM", "DOWNSTREAM"].flatMap((side) =>
  ["WIRE", "HEADER"].flatMap((part) => [`${side}_${part}_BYTES_SENT`, `${side}_${part}_BYTES_RECEIVED`]),
);
const names = ["URI_SAN", "DNS_SAN", "IP_SAN", "EMAIL_SAN", "OTHERNAME_SAN", "SUBJECT"];
const certificates = [
  ...names.flatMap((name) => [`DOWNSTREAM_PEER_${name}`, `DOWNSTREAM_LOCAL_${name}`]),
  ...["ISSUER", "SERIAL", "FINGERPRINT_1", "FINGERPRINT_256", "CERT", "CERT_V_START", "CERT_V_END"].map(
    (name) => `DOWNSTREAM_PEER_${name}`,
  ),
  ...["CHAIN_FINGERPRINTS_1", "CHAIN_FINGERPRINTS_256", "CHAIN_SERIALS"].map((name) => `DOWNSTREAM_PEER_${name}`),
  ...["CERT", "URI_SAN", "DNS_SAN", "IP_SAN", "SUBJECT", "ISSUER", "CERT_V_START", "CERT_V_END"].map(
    (name) => `UPSTREAM_PEER_${name}`,
  ),
  ...["URI_SAN", "DNS_SAN", "IP_SAN"].map((name) => `UPSTREAM_LOCAL_${name}`),
  ...["TLS_VERSION", "TLS_CIPHER", "TLS_SESSION_ID"].flatMap((name) => [`DOWNSTREAM_${name}`, `UPSTREAM_${name}`]),
  ...["TLS_JA3_FINGERPRINT", "TLS_JA4_FINGERPRINT"],
];

const plainCommands: ReadonlySet<string> = new Set([
  ...addresses,
  ...upstreamAddresses,
  ...byteCounts,
  ...certificates,
  ...["PROTOCOL", "RESPONSE_CODE", "RESPONSE_CODE_DETAILS", "RESPONSE_FLAGS", "RESPONSE_FLAGS_LONG"],
  ...["BYTES_RECEIVED", "BYTES_SENT", "BYTES_RETRANSMITTED", "PACKETS_RETRANSMITTED"],
  ...["DURATION", "REQUEST_DURATION", "REQUEST_TX_DURATION", "RESPONSE_DURATION", "RESPONSE_TX_DURATION"],
  ...["ROUNDTRIP_DURATION", "DOWNSTREAM_HANDSHAKE_DURATION", "UPSTREAM_CONNECTION_POOL_READY_DURATION"],
  ...["UPSTREAM_HOST", "UPSTREAM_HOST_NAME", "UPSTREAM_HOST_NAME_WITHOUT_PORT", "UPSTREAM_HOSTS_ATTEMPTED"],
  ...["UPSTREAM_CLUSTER", "UPSTREAM_CLUSTER_RAW", "UPSTREAM_PROTOCOL", "UPSTREAM_CONNECTION_ID", "CONNECTION_ID"],
  ...["UPSTREAM_REQUEST_ATTEMPT_COUNT", "UPSTREAM_TRANSPORT_FAILURE_REASON", "DOWNSTREAM_TRANSPORT_FAILURE_REASON"],
  ...["CONNECTION_TERMINATION_DETAILS", "UPSTREAM_LOCAL_CLOSE_REASON", "DOWNSTREAM_LOCAL_CLOSE_REASON"],
  ...["UPSTREAM_DETECTED_CLOSE_TYPE", "DOWNSTREAM_DETECTED_CLOSE_TYPE"],
  ...["VIRTUAL_CLUSTER_NAME", "STREAM_ID", "TRACE_ID", "SPAN_ID", "UNIQUE_ID", "HOSTNAME", "CUSTOM_FLAGS"],
  ...["REQUESTED_SERVER_NAME", "ROUTE_NAME", "FILTER_CHAIN_NAME", "ACCESS_LOG_TYPE", "PATH"],
  ...["GRPC_STATUS", "GRPC_STATUS_NUMBER", "START_TIME", "START_TIME_LOCAL", "EMIT_TIME", "EMIT_TIME_LOCAL"],
]);

const headerName = /^[^?]+(\?[^?]+)?$/;
const anything = /./;

/** Commands that take something in parentheses, and what; most may be cut to a length. */
const parameterCommands: ReadonlyMap<string, RegExp> = new Map([
  ["REQ", headerName],
  ["RESP", headerName],
  ["TRAILER", headerName],
  ["QUERY_PARAM", anything],
  ["QUERY_PARAMS", /^(ORIG|DECODED)$/],
  ["PATH", /^(WQ|NQ)(:(ORIG|PATH|ORIG_OR_PATH))?$/],
  ["GRPC_STATUS", /^(CAMEL_STRING|SNAKE_STRING|NUMBER)$/],
  ["REQUESTED_SERVER_NAME", /^(SNI_ONLY|SNI_FIRST|HOST_FIRST)(:(ORIG|HOST|ORIG_OR_HOST))?$/],
  // The format of a time.
  ["START_TIME", anything],
  ["START_TIME_LOCAL", anything],
  ["EMIT_TIME", anything],
  ["EMIT_TIME_LOCAL", anything],
  ["DOWNSTREAM_PEER_CERT_V_START", anything],
  ["DOWNSTREAM_PEER_CERT_V_END", anything],
  ["UPSTREAM_PEER_CERT_V_START", anything],
  ["UPSTREAM_PEER_CERT_V_END", anything],
  ["DYNAMIC_METADATA", anything],
  ["CLUSTER_METADATA", anything],
  ["UPSTREAM_METADATA", anything],
  ["METADATA", /^(DYNAMIC|CLUSTER|ROUTE|UPSTREAM_HOST|LISTENER|VIRTUAL_HOST):./],
  ["PER_REQUEST_STATE", anything],
  ["FILTER_STATE", /^[^:]+(:(PLAIN|TYPED|FIELD:[^:]+))?$/],
  ["UPSTREAM_FILTER_STATE", /^[^:]+(:(PLAIN|TYPED|FIELD:[^:]+))?$/],
  ["ENVIRONMENT", anything],
]);

const percent = /%%|%([A-Z][A-Z0-9_]*)(?:\(([^)]+)\)(:[0-9]+)?)?%|%/g;
// Times cannot be cut.
const timeCommand = /(_TIME|_TIME_LOCAL|_CERT_V_START|_CERT_V_END)$/;

/** The value with every percent sign doubled (which stands for itself) that begins no command of Envoy's. */
export function formatHeaderValue(value: string): string {
  if (!value.includes("%")) return value;
  return value.replaceAll(percent, (text: string, command = "", parameter?: string, length?: string) => {
    // Pairs stand for one percent sign already.
    return text === "%%" || isKnown(command, parameter, length) ? text : text.replaceAll("%", "%%");
  });
}

function isKnown(command: string, parameter: string | undefined, length: string | undefined): boolean {
  if (parameter === undefined) return plainCommands.has(command);
  if (length !== undefined && timeCommand.test(command)) return false;
  return parameterCommands.get(command)?.test(parameter) === true;
}
