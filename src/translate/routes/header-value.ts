/**
 * Values of headers. Envoy reads `%COMMAND%` in them (configuration/observability/access_log/usage, "command operators")
 * and refuses a whole table of routes for one command that it does not know or a percent sign without one.
 */

const addresses = [
  "DOWNSTREAM_REMOTE",
  "DOWNSTREAM_DIRECT_REMOTE",
  "DOWNSTREAM_LOCAL",
  "UPSTREAM_REMOTE",
  "UPSTREAM_LOCAL",
].flatMap((side) => [`${side}_ADDRESS`, `${side}_ADDRESS_WITHOUT_PORT`, `${side}_PORT`]);

const plainCommands: ReadonlySet<string> = new Set([
  ...addresses,
  ...["PROTOCOL", "RESPONSE_CODE", "RESPONSE_CODE_DETAILS", "RESPONSE_FLAGS", "RESPONSE_FLAGS_LONG"],
  ...["BYTES_RECEIVED", "BYTES_SENT", "DURATION", "REQUEST_DURATION", "RESPONSE_DURATION", "RESPONSE_TX_DURATION"],
  ...["UPSTREAM_HOST", "UPSTREAM_CLUSTER", "UPSTREAM_CLUSTER_RAW", "UPSTREAM_PROTOCOL", "CONNECTION_ID"],
  ...["UPSTREAM_TRANSPORT_FAILURE_REASON", "CONNECTION_TERMINATION_DETAILS", "VIRTUAL_CLUSTER_NAME", "STREAM_ID"],
  ...["REQUESTED_SERVER_NAME", "ROUTE_NAME", "HOSTNAME", "FILTER_CHAIN_NAME", "TRACE_ID"],
  ...["DOWNSTREAM_PEER_URI_SAN", "DOWNSTREAM_PEER_DNS_SAN", "DOWNSTREAM_PEER_SUBJECT", "DOWNSTREAM_PEER_ISSUER"],
  ...["DOWNSTREAM_PEER_SERIAL", "DOWNSTREAM_PEER_FINGERPRINT_1", "DOWNSTREAM_PEER_FINGERPRINT_256"],
  ...["DOWNSTREAM_PEER_CERT", "DOWNSTREAM_LOCAL_URI_SAN", "DOWNSTREAM_LOCAL_SUBJECT"],
  ...["DOWNSTREAM_TLS_VERSION", "DOWNSTREAM_TLS_CIPHER", "DOWNSTREAM_TLS_SESSION_ID"],
  ...["DOWNSTREAM_PEER_CERT_V_START", "DOWNSTREAM_PEER_CERT_V_END", "START_TIME"],
]);

const headerName = /^[^?]+(\?[^?]+)?$/;
const anything = /./;

/** Commands that need something in parentheses, and what; these may be cut to a length. */
const parameterCommands: ReadonlyMap<string, RegExp> = new Map([
  ["REQ", headerName],
  ["RESP", headerName],
  ["TRAILER", headerName],
  ["DYNAMIC_METADATA", anything],
  ["CLUSTER_METADATA", anything],
  ["UPSTREAM_METADATA", anything],
  ["FILTER_STATE", /^[^:]+(:(PLAIN|TYPED|FIELD:[^:]+))?$/],
  ["ENVIRONMENT", anything],
]);

const percent = /%%|%([A-Z][A-Z0-9_]*)(?:\(([^)%]+)\)(?::[0-9]+)?)?%|%/g;

/** The value with every percent sign doubled (which stands for itself) that begins no command of Envoy's. */
export function formatHeaderValue(value: string): string {
  if (!value.includes("%")) return value;
  return value.replaceAll(percent, (text: string, command = "", parameter?: string) => {
    const isKnown =
      parameter === undefined ? plainCommands.has(command) : parameterCommands.get(command)?.test(parameter) === true;
    // Pairs stand for one percent sign already.
    return text === "%%" || isKnown ? text : text.replaceAll("%", "%%");
  });
}
