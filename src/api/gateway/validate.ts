import { isUnixAddress } from "../../lib/host-port.ts";
import { isHttp, isTls, isUnsupported, parseProtocol } from "../../lib/protocol.ts";
import { createFindings, type Finding, type Findings, type Path } from "../findings.ts";
import {
  checkLabels,
  checkPort,
  checkServerName,
  checkUnique,
  isAddress,
  isDnsLabel,
  isWildcardDnsName,
} from "../rules.ts";
import type { GatewaySpec, Server, ServerTls } from "./schema.ts";

/** Checks a Gateway beyond its schema, as istiod's webhook does (pkg/config/validation). */
export function validateGateway(spec: GatewaySpec): readonly Finding[] {
  const findings = createFindings();
  const servers = spec.servers ?? [];
  if (servers.length === 0) findings.error(["spec", "servers"], "at least one server is required", "required");
  for (const [index, server] of servers.entries()) checkServer(server, ["spec", "servers", index], findings);
  const ports = servers.map((server) => server.port.name);
  checkUnique(ports, "port name", { path: (index) => ["spec", "servers", index, "port", "name"], findings });
  const named = servers.flatMap((server, index) =>
    (server.name ?? "") === "" ? [] : [{ name: server.name ?? "", index }],
  );
  const path = (at: number): Path => ["spec", "servers", named[at]?.index ?? 0, "name"];
  checkUnique(
    named.map((server) => server.name),
    "server name",
    { path, findings },
  );
  checkLabels(spec.selector, ["spec", "selector"], findings);
  return findings.all;
}

function checkServer(server: Server, path: Path, findings: Findings): void {
  checkServerBind(server, path, findings);
  const protocol = parseProtocol(server.port.protocol);
  if (isUnsupported(protocol)) {
    findings.error([...path, "port", "protocol"], `"${server.port.protocol}" is not a known protocol`, "protocol");
  }
  if (server.hosts.length === 0) findings.error([...path, "hosts"], "at least one host is required", "required");
  for (const [index, host] of server.hosts.entries()) checkServerHost(host, [...path, "hosts", index], findings);
  const { tls } = server;
  if (isTls(protocol) && tls === undefined)
    findings.error([...path, "tls"], `is required for ${server.port.protocol}`, "tls");
  if (tls === undefined) return;
  if (isTls(protocol)) {
    if (tls.httpsRedirect === true) {
      findings.warning([...path, "tls", "httpsRedirect"], "has an effect on plain HTTP servers only", "no-effect");
    }
    checkServerTls(tls, [...path, "tls"], findings);
    for (const [index, host] of server.hosts.entries()) {
      checkServerName(host.split("/").at(-1) ?? "", [...path, "hosts", index], findings);
    }
  } else if (!isHttp(protocol)) {
    findings.error([...path, "tls"], `${server.port.protocol} cannot have it: use HTTPS or TLS`, "tls");
  } else if (endsTls(tls)) {
    findings.error([...path, "tls"], `${server.port.protocol} can have httpsRedirect only: use HTTPS or TLS`, "tls");
  }
}

/** True for settings that plain HTTP cannot have, as istiod's webhook has it; those of PASSTHROUGH have no effect. */
function endsTls({ mode = "PASSTHROUGH", serverCertificate, privateKey, caCertificates }: ServerTls): boolean {
  const isPassedOn = mode === "PASSTHROUGH" || mode === "AUTO_PASSTHROUGH";
  return !isPassedOn || [serverCertificate, privateKey, caCertificates].some((file) => (file ?? "") !== "");
}

function checkServerBind(server: Server, path: Path, findings: Findings): void {
  const bindsSocket = isUnixAddress(server.bind ?? "");
  if (!(bindsSocket && server.port.number === 0)) checkPort(server.port.number, [...path, "port", "number"], findings);
  if (bindsSocket && server.port.number !== 0) {
    findings.error([...path, "port", "number"], "must be 0 for a Unix socket", "port");
  }
  if ((server.bind ?? "") !== "" && !bindsSocket && !isAddress(server.bind ?? "")) {
    findings.error([...path, "bind"], `"${server.bind}" is not an IP address or unix:// path`, "address");
  }
}

/** Checks a host as "host" or "namespace/host", the namespace being a name, "." or "*". */
function checkServerHost(host: string, path: Path, findings: Findings): void {
  const parts = host.split("/");
  const [namespace, name] = parts.length === 1 ? [undefined, host] : [parts[0], parts[1] ?? ""];
  if (parts.length > 2) {
    findings.error(path, `"${host}" must be host or namespace/host`, "host");
    return;
  }
  if (namespace !== undefined && namespace !== "*" && namespace !== "." && !isDnsLabel(namespace)) {
    findings.error(path, `"${namespace}" is not a namespace, "." or "*"`, "host");
  }
  if (!isWildcardDnsName(name) && !isAddress(name)) findings.error(path, `"${name}" is not a valid host name`, "host");
}

/** Checks what each mode needs and what it must not have. */
export function checkServerTls(tls: ServerTls, path: Path, findings: Findings): void {
  const credentials = [
    (tls.credentialName ?? "") !== "",
    (tls.credentialNames ?? []).length > 0,
    (tls.tlsCertificates ?? []).length > 0,
  ];
  const files = (["serverCertificate", "privateKey", "caCertificates"] as const).filter(
    (field) => (tls[field] ?? "") !== "",
  );
  const given = credentials.filter((isGiven) => isGiven).length;
  switch (tls.mode ?? "PASSTHROUGH") {
    case "ISTIO_MUTUAL":
      if (files.length > 0 || given > 0) {
        findings.error(path, "ISTIO_MUTUAL brings its own certificates: none may be given", "tls");
      }
      return;
    case "SIMPLE":
    case "MUTUAL":
    case "OPTIONAL_MUTUAL":
      break;
    default:
      return;
  }
  if (given > 1)
    findings.error(path, "only one of credentialName, credentialNames, tlsCertificates may be set", "one-of");
  if ((tls.tlsCertificates ?? []).length > 2 || (tls.credentialNames ?? []).length > 2) {
    findings.error(path, "at most two certificates are supported, of different key types", "tls");
  }
  if (given === 0) checkServerFiles(tls, path, findings);
  checkClientAuthorities(tls, path, { hasSecret: credentials[0] === true || credentials[1] === true, findings });
  checkTlsVersions(tls, path, findings);
}

function checkServerFiles(tls: ServerTls, path: Path, findings: Findings): void {
  for (const field of ["serverCertificate", "privateKey"] as const) {
    if ((tls[field] ?? "") === "") {
      findings.error([...path, field], `is required for ${tls.mode} without credentialName`, "tls");
    }
  }
}

function checkClientAuthorities(
  tls: ServerTls,
  path: Path,
  context: { readonly hasSecret: boolean; readonly findings: Findings },
): void {
  if (tls.mode !== "MUTUAL") return;
  const hasFile =
    (tls.caCertificates ?? "") !== "" || (tls.tlsCertificates ?? []).some((one) => (one.caCertificates ?? "") !== "");
  if (!context.hasSecret && !hasFile && (tls.caCertCredentialName ?? "") === "") {
    context.findings.error([...path, "caCertificates"], "is required for MUTUAL without credentialName", "tls");
  }
}

const versions = ["TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3"];

function checkTlsVersions(tls: ServerTls, path: Path, findings: Findings): void {
  const [lowest, highest] = [
    versions.indexOf(tls.minProtocolVersion ?? ""),
    versions.indexOf(tls.maxProtocolVersion ?? ""),
  ];
  if (lowest >= 0 && highest >= 0 && lowest > highest) {
    findings.error([...path, "minProtocolVersion"], "must not be above maxProtocolVersion", "tls");
  }
  checkUnique(tls.cipherSuites ?? [], "cipher suite", { path: (index) => [...path, "cipherSuites", index], findings });
}
