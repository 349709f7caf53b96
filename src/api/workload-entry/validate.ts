import { parseUnixPath } from "../../lib/host-port.ts";
import { createFindings, type Finding, type Findings, type Path } from "../findings.ts";
import { checkLabels, checkPort, isAddress, isDnsLabel, isDnsName } from "../rules.ts";
import type { WorkloadEntrySpec } from "./schema.ts";

/** Checks a WorkloadEntry beyond its schema, as istiod's webhook does (pkg/config/validation, ValidateWorkloadEntry). */
export function validateWorkloadEntry(spec: WorkloadEntrySpec): readonly Finding[] {
  const findings = createFindings();
  if ((spec.address ?? "") !== "" || checkUnaddressed(spec, ["spec"], findings)) {
    checkAddress(spec, ["spec"], { mayBeName: true, findings });
    checkWorkload(spec, ["spec"], { findings });
  }
  return findings.all;
}

/** Reports a workload without an address. False where it is of no use: without a network, too. */
export function checkUnaddressed(workload: WorkloadEntrySpec, path: Path, findings: Findings): boolean {
  const hasNetwork = (workload.network ?? "") !== "";
  const at = [...path, "address"];
  if (hasNetwork) findings.warning(at, `is not given: reached only through network "${workload.network}"`, "no-effect");
  else findings.error(at, "is required where no network is given", "required");
  return hasNetwork;
}

/** Checks the address of a workload, where it has one: an IP address, a Unix socket or, where allowed, a name. */
export function checkAddress(
  workload: WorkloadEntrySpec,
  path: Path,
  { mayBeName, findings }: { readonly mayBeName: boolean; readonly findings: Findings },
): void {
  const { address = "", ports = {} } = workload;
  const at = [...path, "address"];
  const socket = parseUnixPath(address);
  if (socket !== undefined) {
    if (!socket.startsWith("@") && (!socket.startsWith("/") || socket.endsWith("/"))) {
      findings.error(at, "must be unix:///path or unix://@name", "address");
    }
    if (Object.keys(ports).length > 0) {
      findings.error([...path, "ports"], "must be empty for a Unix socket", "port");
    }
  } else if (address !== "" && !isAddress(address) && !(mayBeName && isDnsName(address))) {
    const expected = mayBeName ? "an IP address or a host name" : "an IP address";
    findings.error(at, `"${address}" is not ${expected}`, "address");
  }
}

/** Checks ports and labels; `portNames` are those that the service entry has, where it is known. */
export function checkWorkload(
  workload: WorkloadEntrySpec,
  path: Path,
  { portNames, findings }: { readonly portNames?: ReadonlySet<string>; readonly findings: Findings },
): void {
  for (const [name, port] of Object.entries(workload.ports ?? {})) {
    const at = [...path, "ports", name];
    if (portNames !== undefined && !portNames.has(name)) {
      findings.error(at, `"${name}" is not a port of the service entry`, "port");
    }
    if (!isDnsLabel(name)) findings.error(at, `"${name}" is not a valid name of a port`, "name");
    checkPort(port, at, findings);
  }
  checkLabels(workload.labels, [...path, "labels"], findings);
}
