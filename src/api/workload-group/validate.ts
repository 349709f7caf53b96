import { createFindings, type Finding, type Findings, type Path } from "../findings.ts";
import { checkExactlyOne, checkLabels, checkNotNegative, checkPort } from "../rules.ts";
import type { ReadinessProbe, WorkloadGroupSpec } from "./schema.ts";

const headerName = /^[-A-Za-z0-9]+$/;

/**
 * Checks a WorkloadGroup beyond its schema, as istiod's webhook does (pkg/config/validation). The template is not checked
 * like a WorkloadEntry: its address comes from the workload.
 */
export function validateWorkloadGroup(spec: WorkloadGroupSpec): readonly Finding[] {
  const findings = createFindings();
  checkLabels(spec.metadata?.labels, ["spec", "metadata", "labels"], findings);
  if (spec.probe !== undefined) checkProbe(spec.probe, ["spec", "probe"], findings);
  return findings.all;
}

function checkProbe(probe: ReadinessProbe, path: Path, findings: Findings): void {
  const counts = [
    "initialDelaySeconds",
    "timeoutSeconds",
    "periodSeconds",
    "successThreshold",
    "failureThreshold",
  ] as const;
  for (const field of counts) checkNotNegative(probe[field], [...path, field], findings);
  const { httpGet, tcpSocket, exec, grpc } = probe;
  if (grpc !== undefined) {
    findings.error([...path, "grpc"], "is refused by istiod: use httpGet, tcpSocket or exec", "one-of");
  } else checkExactlyOne({ httpGet, tcpSocket, exec }, "needs one", { path, findings });
  if (httpGet !== undefined) checkHttpGet(httpGet, [...path, "httpGet"], findings);
  if (tcpSocket !== undefined) checkPort(tcpSocket.port, [...path, "tcpSocket", "port"], findings);
  if (exec !== undefined && (exec.command ?? []).length === 0) {
    findings.error([...path, "exec", "command"], "is required", "required");
  }
}

function checkHttpGet(probe: NonNullable<ReadinessProbe["httpGet"]>, path: Path, findings: Findings): void {
  checkPort(probe.port, [...path, "port"], findings);
  if (!["", "HTTP", "HTTPS"].includes(probe.scheme ?? "")) {
    findings.error([...path, "scheme"], "must be HTTP or HTTPS", "enum");
  }
  for (const [index, { name = "" }] of (probe.httpHeaders ?? []).entries()) {
    if (!headerName.test(name)) {
      const text = `"${name}" is not a valid header name: letters, digits and "-"`;
      findings.error([...path, "httpHeaders", index, "name"], text, "header");
    }
  }
}
