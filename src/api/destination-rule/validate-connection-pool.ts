import { parseDuration } from "../../lib/duration.ts";
import type { Findings, Path } from "../findings.ts";
import { checkNotNegative } from "../rules.ts";
import { checkWireDuration } from "../wire-duration.ts";
import type { ConnectionPool } from "./schema.ts";

/** Checks limits of connections, as istiod's webhook does (validateConnectionPool of Istio's pkg/config/validation). */
export function checkConnectionPool(pool: ConnectionPool, path: Path, findings: Findings): void {
  const { tcp, http } = pool;
  if (tcp === undefined && http === undefined) findings.error(path, "one of tcp, http is required", "required");
  if (tcp !== undefined) checkTcpPool(tcp, [...path, "tcp"], findings);
  if (http !== undefined) checkHttpPool(http, [...path, "http"], findings);
}

function checkTcpPool(tcp: NonNullable<ConnectionPool["tcp"]>, path: Path, findings: Findings): void {
  checkNotNegative(tcp.maxConnections, [...path, "maxConnections"], findings);
  checkWireDuration(tcp.connectTimeout, [...path, "connectTimeout"], findings);
  checkWireDuration(tcp.maxConnectionDuration, [...path, "maxConnectionDuration"], findings);
  // None at all turns the timeout off.
  if (Math.trunc(parseDuration(tcp.idleTimeout ?? "0") ?? 1) !== 0) {
    checkWireDuration(tcp.idleTimeout, [...path, "idleTimeout"], findings);
  }
  for (const field of ["time", "interval"] as const) {
    const text = tcp.tcpKeepalive?.[field];
    const at = [...path, "tcpKeepalive", field];
    checkWireDuration(text, at, findings);
    const ms = parseDuration(text ?? "1s") ?? 0;
    if (ms >= 1 && ms < 1000) {
      findings.warning(
        at,
        "is less than a second: the system counts whole ones, and does not take 0",
        "doubtful-value",
      );
    }
  }
}

function checkHttpPool(http: NonNullable<ConnectionPool["http"]>, path: Path, findings: Findings): void {
  const counts = [
    "http1MaxPendingRequests",
    "http2MaxRequests",
    "maxRequestsPerConnection",
    "maxRetries",
    "maxConcurrentStreams",
  ] as const;
  for (const field of counts) checkNotNegative(http[field], [...path, field], findings);
  checkWireDuration(http.idleTimeout, [...path, "idleTimeout"], findings);
  if (http.http2KeepAlive !== undefined) {
    for (const field of ["interval", "timeout"] as const) {
      const at = [...path, "http2KeepAlive", field];
      if (http.http2KeepAlive[field] === undefined) findings.error(at, "is required", "required");
      else checkWireDuration(http.http2KeepAlive[field], at, findings);
    }
  }
  if (http.h2UpgradePolicy === "UPGRADE" && http.useClientProtocol === true) {
    findings.error([...path, "useClientProtocol"], "cannot stand together with h2UpgradePolicy UPGRADE", "one-of");
  }
}
