/**
 * Headers that Envoy keeps as one value each ("inline" headers): several lines of one become a single value, joined by
 * commas, as soon as they are read. Lines of all other headers stay apart, and cookies among them: matchers see each
 * line by itself. Which are inline is settled by Envoy's build: its own headers, and those its extensions register.
 */

const ofBoth = [
  ...["cache-control", "connection", "content-encoding", "content-length", "content-type", "keep-alive"],
  ...["proxy-connection", "proxy-status", "transfer-encoding", "upgrade", "via"],
  ...["x-envoy-attempt-count", "x-envoy-decorator-operation", "x-request-id"],
];

export const inlineRequestHeaders: ReadonlySet<string> = new Set([
  ...ofBoth,
  ...["accept", "accept-encoding", "access-control-request-headers", "access-control-request-method"],
  ...["access-control-request-private-network", "authentication", "authorization", "cdn-loop", "expect"],
  ...["grpc-accept-encoding", "grpc-timeout", "if-match", "if-modified-since", "if-none-match", "if-range"],
  ...["if-unmodified-since", "origin", "pragma", "referer", "te", "user-agent", "x-client-trace-id"],
  ...["x-envoy-downstream-service-cluster", "x-envoy-downstream-service-node", "x-envoy-expected-rq-timeout-ms"],
  ...["x-envoy-external-address", "x-envoy-force-trace", "x-envoy-hedge-on-per-try-timeout", "x-envoy-internal"],
  ...["x-envoy-ip-tags", "x-envoy-is-timeout-retry", "x-envoy-max-retries", "x-envoy-original-host"],
  ...["x-envoy-original-path", "x-envoy-original-url", "x-envoy-retriable-header-names"],
  ...["x-envoy-retriable-status-codes", "x-envoy-retry-grpc-on", "x-envoy-retry-on", "x-envoy-upstream-alt-stat-name"],
  ...["x-envoy-upstream-rq-per-try-timeout-ms", "x-envoy-upstream-rq-timeout-alt-response"],
  ...["x-envoy-upstream-rq-timeout-ms", "x-envoy-upstream-stream-duration-ms", "x-forwarded-client-cert"],
  ...["x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-proto"],
]);

export const inlineResponseHeaders: ReadonlySet<string> = new Set([
  ...ofBoth,
  ...["access-control-allow-origin", "access-control-expose-headers", "age", "date", "etag", "expires", "grpc-message"],
  ...["grpc-status", "last-modified", "location", "server", "vary", "x-envoy-degraded"],
  ...["x-envoy-immediate-health-check-fail", "x-envoy-ratelimited", "x-envoy-upstream-canary"],
  ...["x-envoy-upstream-healthchecked-cluster", "x-envoy-upstream-service-time"],
]);
