import { createFindings, type Finding, type Findings, type Path } from "../findings.ts";
import {
  checkDuration,
  checkExportTo,
  checkHost,
  checkLabels,
  checkNotNegative,
  checkPercent,
  checkPort,
  checkUnique,
  isDnsLabel,
} from "../rules.ts";
import type {
  ClientTls,
  ConnectionPool,
  DestinationRuleSpec,
  OutlierDetection,
  PortTrafficPolicy,
  TrafficPolicy,
} from "./schema.ts";
import { checkLoadBalancer } from "./validate-load-balancer.ts";

/** Checks a DestinationRule beyond its schema, as istiod's webhook does (pkg/config/validation). */
export function validateDestinationRule(spec: DestinationRuleSpec): readonly Finding[] {
  const findings = createFindings();
  if (spec.host === "*") findings.error(["spec", "host"], 'must be a host, not "*"', "host");
  else checkHost(spec.host, ["spec", "host"], findings);
  if (spec.trafficPolicy !== undefined) checkTrafficPolicy(spec.trafficPolicy, ["spec", "trafficPolicy"], findings);
  const subsets = spec.subsets ?? [];
  for (const [index, subset] of subsets.entries()) {
    const path = ["spec", "subsets", index];
    if (!isDnsLabel(subset.name)) {
      findings.error(
        [...path, "name"],
        `"${subset.name}" is not a valid name: letters, digits and "-", 63 at most`,
        "subset",
      );
    }
    checkLabels(subset.labels, [...path, "labels"], findings);
    if (subset.trafficPolicy !== undefined)
      checkTrafficPolicy(subset.trafficPolicy, [...path, "trafficPolicy"], findings);
  }
  const names = subsets.map((subset) => subset.name);
  checkUnique(names, "subset", { path: (index) => ["spec", "subsets", index, "name"], findings });
  checkLabels(spec.workloadSelector?.matchLabels, ["spec", "workloadSelector", "matchLabels"], findings);
  checkExportTo(spec.exportTo, ["spec", "exportTo"], findings);
  return findings.all;
}

export function checkTrafficPolicy(policy: TrafficPolicy, path: Path, findings: Findings): void {
  if (Object.keys(policy).length === 0) findings.error(path, "must have at least one setting", "required");
  checkPolicyParts(policy, path, findings);
  for (const [index, port] of (policy.portLevelSettings ?? []).entries()) {
    const at = [...path, "portLevelSettings", index];
    checkPort(port.port?.number, [...at, "port", "number"], findings);
    checkPolicyParts(port, at, findings);
  }
  const { tunnel, retryBudget } = policy;
  if (tunnel !== undefined) {
    if (!["", "CONNECT", "POST"].includes(tunnel.protocol ?? "")) {
      findings.error([...path, "tunnel", "protocol"], "must be CONNECT or POST", "enum");
    }
    if (tunnel.targetHost.includes("*"))
      findings.error([...path, "tunnel", "targetHost"], "must not be a wildcard", "host");
    else checkHost(tunnel.targetHost, [...path, "tunnel", "targetHost"], findings);
    checkPort(tunnel.targetPort, [...path, "tunnel", "targetPort"], findings);
  }
  if (retryBudget !== undefined) {
    checkPercent(retryBudget.percent, [...path, "retryBudget", "percent"], findings);
    checkDuration(retryBudget.budgetInterval, { path: [...path, "retryBudget", "budgetInterval"], minMs: 1 }, findings);
  }
}

export function checkConnectionPool(pool: ConnectionPool, path: Path, findings: Findings): void {
  const { tcp, http } = pool;
  if (tcp === undefined && http === undefined) findings.error(path, "one of tcp, http is required", "required");
  if (tcp !== undefined) {
    const at = [...path, "tcp"];
    checkNotNegative(tcp.maxConnections, [...at, "maxConnections"], findings);
    checkDuration(tcp.connectTimeout, { path: [...at, "connectTimeout"], minMs: 1 }, findings);
    checkDuration(tcp.maxConnectionDuration, { path: [...at, "maxConnectionDuration"], minMs: 1 }, findings);
    checkDuration(tcp.idleTimeout, { path: [...at, "idleTimeout"], minMs: 0 }, findings);
    // The kernel counts whole seconds.
    checkDuration(tcp.tcpKeepalive?.time, { path: [...at, "tcpKeepalive", "time"], minMs: 1000 }, findings);
    checkDuration(tcp.tcpKeepalive?.interval, { path: [...at, "tcpKeepalive", "interval"], minMs: 1000 }, findings);
  }
  if (http !== undefined) checkHttpPool(http, [...path, "http"], findings);
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
  checkDuration(http.idleTimeout, { path: [...path, "idleTimeout"], minMs: 0 }, findings);
  checkDuration(http.http2KeepAlive?.interval, { path: [...path, "http2KeepAlive", "interval"], minMs: 1 }, findings);
  checkDuration(http.http2KeepAlive?.timeout, { path: [...path, "http2KeepAlive", "timeout"], minMs: 1 }, findings);
  if (http.h2UpgradePolicy === "UPGRADE" && http.useClientProtocol === true) {
    findings.error([...path, "useClientProtocol"], "cannot stand together with h2UpgradePolicy UPGRADE", "one-of");
  }
}

function checkPolicyParts(policy: TrafficPolicy | PortTrafficPolicy, path: Path, findings: Findings): void {
  const { loadBalancer, connectionPool, outlierDetection, tls } = policy;
  if (loadBalancer !== undefined) {
    const { outlierDetection: detection } = policy;
    checkLoadBalancer(
      loadBalancer,
      { path: [...path, "loadBalancer"], hasOutlierDetection: detection !== undefined },
      findings,
    );
  }
  if (connectionPool !== undefined) checkConnectionPool(connectionPool, [...path, "connectionPool"], findings);
  if (outlierDetection !== undefined) checkOutlierDetection(outlierDetection, [...path, "outlierDetection"], findings);
  if (tls !== undefined) checkClientTls(tls, [...path, "tls"], findings);
}

function checkOutlierDetection(detection: OutlierDetection, path: Path, findings: Findings): void {
  checkDuration(detection.interval, { path: [...path, "interval"], minMs: 1 }, findings);
  checkDuration(detection.baseEjectionTime, { path: [...path, "baseEjectionTime"], minMs: 1 }, findings);
  checkPercent(detection.maxEjectionPercent, [...path, "maxEjectionPercent"], findings);
  checkPercent(detection.minHealthPercent, [...path, "minHealthPercent"], findings);
  if (detection.consecutiveErrors !== undefined) {
    findings.warning(
      [...path, "consecutiveErrors"],
      "is deprecated, use consecutive5xxErrors or consecutiveGatewayErrors",
      "deprecated",
    );
  }
  if ((detection.consecutiveLocalOriginFailures ?? 0) > 0 && detection.splitExternalLocalOriginErrors !== true) {
    findings.error(
      [...path, "consecutiveLocalOriginFailures"],
      "needs splitExternalLocalOriginErrors: true",
      "required",
    );
  }
  for (const [index, status] of (detection.outlierDetectionHttpErrorCodes ?? []).entries()) {
    if (status < 100 || status > 599) {
      findings.error(
        [...path, "outlierDetectionHttpErrorCodes", index],
        "must be an HTTP status from 100 to 599",
        "out-of-range",
      );
    }
  }
}

/** Checks what each mode needs and what it must not have. */
export function checkClientTls(tls: ClientTls, path: Path, findings: Findings): void {
  const files = (["clientCertificate", "privateKey", "caCertificates", "caCrl"] as const).filter(
    (field) => (tls[field] ?? "") !== "",
  );
  const hasCredential = (tls.credentialName ?? "") !== "";
  if (tls.mode === "ISTIO_MUTUAL" && (files.length > 0 || hasCredential)) {
    const given = [...files, ...(hasCredential ? ["credentialName"] : [])].join(", ");
    findings.error(path, `${given} cannot stand together with ISTIO_MUTUAL, which brings its own certificates`, "tls");
  }
  if (tls.mode === "ISTIO_MUTUAL" || tls.mode === "DISABLE" || tls.mode === undefined) return;
  if (hasCredential && files.length > 0) {
    findings.error(path, `only one of credentialName, ${files.join(", ")} may be set`, "one-of");
  }
  if (tls.mode === "MUTUAL" && !hasCredential) {
    for (const field of ["clientCertificate", "privateKey"] as const) {
      if ((tls[field] ?? "") === "")
        findings.error([...path, field], "is required for MUTUAL without credentialName", "tls");
    }
  }
  checkSkipVerify(tls, path, findings);
}

function checkSkipVerify(tls: ClientTls, path: Path, findings: Findings): void {
  if (tls.insecureSkipVerify === true) {
    for (const field of ["caCertificates", "subjectAltNames"] as const) {
      if ((tls[field] ?? "").length > 0)
        findings.error([...path, field], "cannot stand together with insecureSkipVerify", "tls");
    }
  }
}
