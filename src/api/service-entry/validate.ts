import { isUnixAddress } from "../../lib/host-port.ts";
import { createFindings, type Finding, type Findings, type Path } from "../findings.ts";
import {
  checkExportTo,
  checkHost,
  checkLabels,
  checkPort,
  checkUnique,
  isAddress,
  isAddressOrSubnet,
  isDnsName,
} from "../rules.ts";
import { checkWorkload } from "../workload-entry/validate.ts";
import type { ServiceEntryEndpoint, ServiceEntrySpec } from "./schema.ts";

/** Checks a ServiceEntry beyond its schema, as istiod's webhook does (pkg/config/validation). */
export function validateServiceEntry(spec: ServiceEntrySpec): readonly Finding[] {
  const findings = createFindings();
  checkHosts(spec, findings);
  checkAddresses(spec, findings);
  checkPorts(spec, findings);
  const endpoints = spec.endpoints ?? [];
  if (spec.workloadSelector !== undefined && endpoints.length > 0) {
    findings.error(["spec", "endpoints"], "cannot stand together with workloadSelector", "one-of");
  }
  checkLabels(spec.workloadSelector?.labels, ["spec", "workloadSelector", "labels"], findings);
  for (const [index, endpoint] of endpoints.entries()) checkEndpoint(endpoint, { index, spec, findings });
  checkResolution(spec, endpoints, findings);
  checkExportTo(spec.exportTo, ["spec", "exportTo"], findings);
  return findings.all;
}

function checkHosts(spec: ServiceEntrySpec, findings: Findings): void {
  const needsName = ["DNS", "DNS_ROUND_ROBIN"].includes(spec.resolution ?? "") && (spec.endpoints ?? []).length === 0;
  if (spec.hosts.length === 0) findings.error(["spec", "hosts"], "at least one host is required", "required");
  for (const [index, host] of spec.hosts.entries()) {
    const path = ["spec", "hosts", index];
    if (host === "*") findings.error(path, 'must not be "*"', "host");
    else if (!checkHost(host, path, findings)) continue;
    else if (spec.resolution === "DYNAMIC_DNS" && !host.startsWith("*")) {
      findings.error(path, "must be a wildcard for resolution DYNAMIC_DNS", "host");
    } else if (needsName && spec.workloadSelector === undefined && !isDnsName(host)) {
      findings.error(path, `must be a full name for resolution ${spec.resolution} without endpoints`, "host");
    }
  }
  checkUnique(spec.hosts, "host", { path: (index) => ["spec", "hosts", index], findings });
}

function checkAddresses(spec: ServiceEntrySpec, findings: Findings): void {
  for (const [index, address] of (spec.addresses ?? []).entries()) {
    const path = ["spec", "addresses", index];
    if (!isAddressOrSubnet(address)) findings.error(path, `"${address}" is not an IP address or subnet`, "address");
    else if (address.includes("/") && !["NONE", "STATIC"].includes(spec.resolution ?? "NONE")) {
      findings.error(path, "a subnet is allowed for resolution NONE and STATIC only", "address");
    }
  }
}

function checkPorts(spec: ServiceEntrySpec, findings: Findings): void {
  const ports = spec.ports ?? [];
  for (const [index, port] of ports.entries()) {
    const path = ["spec", "ports", index];
    checkPort(port.number, [...path, "number"], findings);
    if (port.targetPort !== undefined && port.targetPort !== 0)
      checkPort(port.targetPort, [...path, "targetPort"], findings);
  }
  const path =
    (field: string) =>
    (index: number): Path => ["spec", "ports", index, field];
  checkUnique(
    ports.map((port) => port.name),
    "port name",
    { path: path("name"), findings },
  );
  checkUnique(
    ports.map((port) => String(port.number)),
    "port",
    { path: path("number"), findings },
  );
}

interface EndpointContext {
  readonly index: number;
  readonly spec: ServiceEntrySpec;
  readonly findings: Findings;
}

function checkEndpoint(endpoint: ServiceEntryEndpoint, { index, spec, findings }: EndpointContext): void {
  const path = ["spec", "endpoints", index];
  checkWorkload(endpoint, path, findings);
  const names = new Set((spec.ports ?? []).map((port) => port.name));
  for (const name of Object.keys(endpoint.ports ?? {})) {
    if (!names.has(name))
      findings.error([...path, "ports", name], `"${name}" is not a port of the service entry`, "port");
  }
  const address = endpoint.address ?? "";
  const isSocket = isUnixAddress(address);
  if (isSocket && spec.resolution !== "STATIC") {
    findings.error([...path, "address"], "a Unix socket needs resolution STATIC", "address");
  }
  if (isSocket && (spec.ports ?? []).length !== 1) {
    findings.error([...path, "address"], "a Unix socket needs a service entry with exactly one port", "port");
  }
  if (spec.resolution === "STATIC" && address !== "" && !isSocket && !isAddress(address)) {
    findings.error([...path, "address"], `"${address}" must be an IP address for resolution STATIC`, "address");
  }
}

function checkResolution(spec: ServiceEntrySpec, endpoints: readonly ServiceEntryEndpoint[], findings: Findings): void {
  const resolution = spec.resolution ?? "NONE";
  const at = ["spec", "endpoints"];
  if ((resolution === "NONE" || resolution === "DYNAMIC_DNS") && endpoints.length > 0) {
    findings.error(at, `must be empty for resolution ${resolution}`, "resolution");
  }
  if (resolution === "DNS_ROUND_ROBIN" && endpoints.length > 1) {
    findings.error(at, "must be one at most for resolution DNS_ROUND_ROBIN", "resolution");
  }
  if (resolution === "STATIC" && endpoints.length === 0 && spec.workloadSelector === undefined) {
    findings.warning(
      ["spec"],
      "has no endpoints: give endpoints or workloadSelector for resolution STATIC",
      "resolution",
    );
  }
}
