import { isUnixAddress } from "../../lib/host-port.ts";
import { createFindings, type Finding, type Findings, type Path } from "../findings.ts";
import { checkLabels, checkPort, isAddress, isDnsName } from "../rules.ts";
import type { WorkloadEntrySpec } from "./schema.ts";

/** Checks a WorkloadEntry beyond its schema, as istiod's webhook does (pkg/config/validation). */
export function validateWorkloadEntry(spec: WorkloadEntrySpec): readonly Finding[] {
  const findings = createFindings();
  checkWorkload(spec, ["spec"], findings);
  return findings.all;
}

/** Checks one workload, of a WorkloadEntry or of the endpoints of a ServiceEntry. */
export function checkWorkload(workload: WorkloadEntrySpec, path: Path, findings: Findings): void {
  const address = workload.address ?? "";
  const at = [...path, "address"];
  if (isUnixAddress(address)) {
    if (!address.startsWith("unix:///") && !address.startsWith("unix://@")) {
      findings.error(at, "must be unix:///path or unix://@name", "address");
    }
    if (Object.keys(workload.ports ?? {}).length > 0) {
      findings.error([...path, "ports"], "must be empty for a Unix socket", "port");
    }
  } else if (address === "") {
    if ((workload.network ?? "") === "") findings.error(at, "is required where no network is given", "required");
  } else if (!isAddress(address) && !isDnsName(address)) {
    findings.error(at, `"${address}" is not an IP address or a host name`, "address");
  }
  for (const [name, port] of Object.entries(workload.ports ?? {})) {
    if (name === "") findings.error([...path, "ports"], "the name of a port must not be empty", "port");
    checkPort(port, [...path, "ports", name], findings);
  }
  checkLabels(workload.labels, [...path, "labels"], findings);
}
