import { isUnixAddress } from "../../lib/host-port.ts";
import { isHttp, isTcp, isTls, isUnsupported, parseProtocol } from "../../lib/protocol.ts";
import { checkExportTo } from "../export-to.ts";
import { createFindings, type Finding, type Findings, type Path } from "../findings.ts";
import type { Labels } from "../object.ts";
import { checkHost, checkPort, checkUnique, isAddressOrSubnet, isDnsLabel, isDnsName } from "../rules.ts";
import { checkAddress, checkUnaddressed, checkWorkload } from "../workload-entry/validate.ts";
import { checkSelector } from "../workload-selector.ts";
import type { ServiceEntryEndpoint, ServiceEntrySpec } from "./schema.ts";

/** Label by which an object says that it wants no address of its own. */
const allocateLabel = "networking.istio.io/enable-autoallocate-ip";

const forwardedProtocols: ReadonlySet<string> = new Set(["HTTP", "HTTP2", "GRPC", "TLS"]);

/**
 * Checks a ServiceEntry beyond its schema, as istiod's webhook does (pkg/config/validation, ValidateServiceEntry).
 * `meta` is what is known of the object.
 */
export function validateServiceEntry(
  spec: ServiceEntrySpec,
  meta: { readonly namespace: string; readonly labels: Labels } = { namespace: "", labels: {} },
): readonly Finding[] {
  const findings = createFindings();
  const endpoints = spec.endpoints ?? [];
  checkWorkloadSelector(spec, findings);
  checkHosts(spec, findings);
  checkAddresses(spec, findings);
  checkPorts(spec, { getsAddress: getsAddress(spec, meta.labels), findings });
  const portNames = new Set((spec.ports ?? []).map((port) => port.name));
  for (const [index, endpoint] of endpoints.entries()) {
    checkEndpoint(endpoint, ["spec", "endpoints", index], { spec, portNames, findings });
  }
  checkResolution(spec, endpoints, findings);
  if (spec.resolution === "DYNAMIC_DNS") checkDynamicDns(spec, findings);
  checkManyHosts(spec, findings);
  const { namespace } = meta;
  checkExportTo(spec.exportTo, { path: ["spec", "exportTo"], namespace, mayBeNobody: true, findings });
  return findings.all;
}

function checkWorkloadSelector(
  { workloadSelector, endpoints, resolution = "NONE" }: ServiceEntrySpec,
  findings: Findings,
): void {
  if (workloadSelector === undefined) return;
  const path = ["spec", "workloadSelector"];
  if ((endpoints ?? []).length > 0) {
    findings.error(["spec", "endpoints"], "cannot stand together with workloadSelector", "one-of");
  }
  if (resolution === "NONE") findings.warning(path, "has no effect for resolution NONE", "no-effect");
  checkSelector(workloadSelector.labels, { path, field: "labels" }, findings);
}

function checkHosts(spec: ServiceEntrySpec, findings: Findings): void {
  const needsName = ["DNS", "DNS_ROUND_ROBIN"].includes(spec.resolution ?? "") && (spec.endpoints ?? []).length === 0;
  if (spec.hosts.length === 0) findings.error(["spec", "hosts"], "at least one host is required", "required");
  const seen = new Set<string>();
  for (const [index, host] of spec.hosts.entries()) {
    const path = ["spec", "hosts", index];
    if (seen.has(host)) findings.warning(path, `host "${host}" is given twice`, "duplicate");
    seen.add(host);
    if (host === "*") findings.error(path, 'must not be "*"', "host");
    else if (!checkHost(host, path, findings)) continue;
    else if (spec.resolution === "DYNAMIC_DNS" && !host.startsWith("*")) {
      findings.error(path, "must be a wildcard for resolution DYNAMIC_DNS", "host");
    } else if (needsName && !isDnsName(host)) {
      findings.error(path, `must be a full name for resolution ${spec.resolution} without endpoints`, "host");
    } else if (host.startsWith("*") && !host.startsWith("*.")) {
      findings.warning(path, `"${host}": a wildcard should be a whole label, as in "*.example.com"`, "host");
    }
  }
}

/** Each request or handshake must say its host, and nothing else may say where it goes. */
function checkDynamicDns({ addresses = [], ports = [] }: ServiceEntrySpec, findings: Findings): void {
  if (addresses.length > 0) {
    findings.error(["spec", "addresses"], "must be empty for resolution DYNAMIC_DNS", "resolution");
  }
  for (const [index, { protocol = "" }] of ports.entries()) {
    if (forwardedProtocols.has(parseProtocol(protocol))) continue;
    const text = "must be HTTP, HTTP2, GRPC or TLS for resolution DYNAMIC_DNS";
    findings.error(["spec", "ports", index, "protocol"], text, "protocol");
  }
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

/** True where the control plane gives the service an address, by which its TCP ports are told from others. */
function getsAddress(spec: ServiceEntrySpec, labels: Labels): boolean {
  const refuses = labels[allocateLabel]?.toLowerCase() === "false";
  return (spec.resolution ?? "NONE") !== "NONE" && !refuses;
}

function checkPorts(
  spec: ServiceEntrySpec,
  { getsAddress, findings }: { readonly getsAddress: boolean; readonly findings: Findings },
): void {
  const ports = spec.ports ?? [];
  const needsAddress = (spec.addresses ?? []).length === 0 && !getsAddress;
  for (const [index, { name, number, protocol = "", targetPort = 0 }] of ports.entries()) {
    const path = ["spec", "ports", index];
    checkPort(number, [...path, "number"], findings);
    if (targetPort !== 0) checkPort(targetPort, [...path, "targetPort"], findings);
    if (!isDnsLabel(name)) findings.error([...path, "name"], `"${name}" is not a valid name of a port`, "name");
    if (protocol !== "" && isUnsupported(parseProtocol(protocol))) {
      findings.error([...path, "protocol"], `"${protocol}" is not a protocol`, "protocol");
    }
    if (needsAddress && (protocol === "" || protocol === "TCP")) {
      findings.warning(path, "takes all TCP traffic of its port: give the service addresses", "address");
    }
  }
  const path =
    (field: string) =>
    (index: number): Path => ["spec", "ports", index, field];
  const names = ports.map((port) => port.name);
  checkUnique(names, "port name", { path: path("name"), findings });
  const numbers = ports.map((port) => String(port.number));
  checkUnique(numbers, "port", { path: path("number"), findings });
}

interface EndpointContext {
  readonly spec: ServiceEntrySpec;
  readonly portNames: ReadonlySet<string>;
  readonly findings: Findings;
}

/** Endpoints are looked at only where the resolution has some; elsewhere they are an error as a whole. */
function checkEndpoint(
  endpoint: ServiceEntryEndpoint,
  path: Path,
  { spec, portNames, findings }: EndpointContext,
): void {
  const { address = "" } = endpoint;
  const at = [...path, "address"];
  if (spec.resolution === "STATIC") {
    if (address === "" && !checkUnaddressed(endpoint, path, findings)) return;
    checkAddress(endpoint, path, { mayBeName: false, findings });
    if (isUnixAddress(address) && portNames.size !== 1) {
      findings.error(at, "a Unix socket needs a service entry with exactly one port", "port");
    }
    checkWorkload(endpoint, path, { portNames, findings });
  } else if (spec.resolution === "DNS" || spec.resolution === "DNS_ROUND_ROBIN") {
    if (address === "") findings.error(at, `is required for resolution ${spec.resolution}`, "required");
    else if (isUnixAddress(address)) findings.error(at, "a Unix socket needs resolution STATIC", "address");
    else checkAddress(endpoint, path, { mayBeName: true, findings });
    checkWorkload(endpoint, path, { portNames, findings });
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

/** Several hosts are told apart by the name that HTTP and TLS carry; plain TCP has none. */
function checkManyHosts(spec: ServiceEntrySpec, findings: Findings): void {
  const protocols = (spec.ports ?? []).map((port) => parseProtocol(port.protocol ?? ""));
  if (spec.hosts.length < 2) return;
  if ((spec.resolution ?? "NONE") !== "NONE") {
    const index = protocols.findIndex((protocol) => !isHttp(protocol) && !isTls(protocol));
    const text = "must be HTTP or TLS, because the service entry has several hosts";
    if (index >= 0) findings.error(["spec", "ports", index, "protocol"], text, "protocol");
  }
  const isDns = spec.resolution === "DNS" || spec.resolution === "DNS_ROUND_ROBIN";
  if (isDns && (spec.addresses ?? []).length > 0 && protocols.some(isTcp)) {
    findings.warning(["spec", "hosts"], "several hosts cannot share an address for TCP or TLS", "host");
  }
}
