import { checkExportTo } from "../export-to.ts";
import { createFindings, type Finding, type Findings, type Path } from "../findings.ts";
import type { ObjectMeta } from "../object.ts";
import {
  checkDuration,
  checkHost,
  checkLabels,
  checkPercent,
  checkPort,
  checkUnique,
  isAddress,
  isDnsLabel,
  isDnsName,
} from "../rules.ts";
import { checkWireDuration } from "../wire-duration.ts";
import { checkSelector } from "../workload-selector.ts";
import type { DestinationRuleSpec, OutlierDetection, PortTrafficPolicy, TrafficPolicy } from "./schema.ts";
import { checkClientTls } from "./validate-client-tls.ts";
import { checkConnectionPool } from "./validate-connection-pool.ts";
import { checkLoadBalancer } from "./validate-load-balancer.ts";

interface PolicyContext {
  readonly path: Path;
  /** Namespace of the rule. */
  readonly namespace: string;
  readonly findings: Findings;
}

/** Checks a DestinationRule beyond its schema, as istiod's webhook does (pkg/config/validation). */
export function validateDestinationRule(
  spec: DestinationRuleSpec,
  meta: Pick<ObjectMeta, "namespace">,
): readonly Finding[] {
  const findings = createFindings();
  const { namespace } = meta;
  checkHost(spec.host, ["spec", "host"], findings);
  if (spec.trafficPolicy !== undefined) {
    checkTrafficPolicy(spec.trafficPolicy, { path: ["spec", "trafficPolicy"], namespace, findings });
  }
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
    if (subset.trafficPolicy !== undefined) {
      checkTrafficPolicy(subset.trafficPolicy, { path: [...path, "trafficPolicy"], namespace, findings });
    }
  }
  const names = subsets.map((subset) => subset.name);
  checkUnique(names, "subset", { path: (index) => ["spec", "subsets", index, "name"], findings });
  checkExportTo(spec.exportTo, { path: ["spec", "exportTo"], namespace, mayBeNobody: false, findings });
  checkOwnWorkloads(spec, namespace, findings);
  return findings.all;
}

/** A rule for some workloads of its namespace can only be seen there. */
function checkOwnWorkloads(spec: DestinationRuleSpec, namespace: string, findings: Findings): void {
  const { workloadSelector, exportTo = [] } = spec;
  if (workloadSelector === undefined) return;
  checkSelector(workloadSelector.matchLabels, { path: ["spec", "workloadSelector"], field: "matchLabels" }, findings);
  for (const [index, value] of exportTo.entries()) {
    if (value !== "." && value !== namespace) {
      findings.error(["spec", "exportTo", index], 'must be "." for a rule with workloadSelector', "export-to");
    }
  }
}

function checkTrafficPolicy(policy: TrafficPolicy, context: PolicyContext): void {
  const { path, findings } = context;
  const { portLevelSettings = [], tunnel, proxyProtocol, retryBudget, ...parts } = policy;
  const isEmpty = Object.keys(parts).length === 0 && portLevelSettings.length === 0;
  if (isEmpty && tunnel === undefined && proxyProtocol === undefined && retryBudget === undefined) {
    findings.error(path, "must have at least one setting", "required");
  }
  if (tunnel !== undefined && proxyProtocol !== undefined) {
    findings.error(path, "tunnel and proxyProtocol cannot stand together", "one-of");
  }
  checkPolicyParts(policy, context);
  for (const [index, port] of portLevelSettings.entries()) {
    checkPortPolicy(port, { ...context, path: [...path, "portLevelSettings", index] });
  }
  if (tunnel !== undefined) checkTunnel(tunnel, [...path, "tunnel"], findings);
  if (retryBudget !== undefined) {
    // Envoy refuses other values, and with them every cluster of the same response.
    checkPercent(retryBudget.percent, [...path, "retryBudget", "percent"], findings);
    checkDuration(retryBudget.budgetInterval, { path: [...path, "retryBudget", "budgetInterval"], minMs: 0 }, findings);
  }
}

function checkPortPolicy(policy: PortTrafficPolicy, context: PolicyContext): void {
  const { path, findings } = context;
  const { port, ...parts } = policy;
  if (port === undefined) findings.error([...path, "port"], "is required", "required");
  else if (port.number === undefined || port.number < 1 || port.number > 65535) {
    findings.warning([...path, "port", "number"], "is the number of no port", "no-effect");
  }
  if (Object.keys(parts).length === 0) findings.error(path, "must have at least one setting", "required");
  checkPolicyParts(policy, context);
}

function checkTunnel(tunnel: NonNullable<TrafficPolicy["tunnel"]>, path: Path, findings: Findings): void {
  if (!["", "CONNECT", "POST"].includes(tunnel.protocol ?? "")) {
    findings.error([...path, "protocol"], "must be CONNECT or POST", "enum");
  }
  if (!isDnsName(tunnel.targetHost) && !isAddress(tunnel.targetHost)) {
    findings.error([...path, "targetHost"], `"${tunnel.targetHost}" is not a host name or IP address`, "host");
  }
  checkPort(tunnel.targetPort, [...path, "targetPort"], findings);
}

function checkPolicyParts(policy: TrafficPolicy | PortTrafficPolicy, context: PolicyContext): void {
  const { path, findings } = context;
  const { loadBalancer, connectionPool, outlierDetection, tls } = policy;
  if (loadBalancer !== undefined) {
    const at = { path: [...path, "loadBalancer"], hasOutlierDetection: outlierDetection !== undefined };
    checkLoadBalancer(loadBalancer, at, findings);
  }
  if (connectionPool !== undefined) checkConnectionPool(connectionPool, [...path, "connectionPool"], findings);
  if (outlierDetection !== undefined) checkOutlierDetection(outlierDetection, [...path, "outlierDetection"], findings);
  if (tls !== undefined) checkClientTls(tls, { ...context, path: [...path, "tls"] });
}

function checkOutlierDetection(detection: OutlierDetection, path: Path, findings: Findings): void {
  checkWireDuration(detection.interval, [...path, "interval"], findings);
  checkWireDuration(detection.baseEjectionTime, [...path, "baseEjectionTime"], findings);
  checkPercent(detection.maxEjectionPercent, [...path, "maxEjectionPercent"], findings);
  checkPercent(detection.minHealthPercent, [...path, "minHealthPercent"], findings);
  if ((detection.consecutiveErrors ?? 0) !== 0) {
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
      const at = [...path, "outlierDetectionHttpErrorCodes", index];
      findings.warning(at, "is no HTTP status: they go from 100 to 599", "no-effect");
    }
  }
}
