import { isUnixAddress } from "../../lib/host-port.ts";
import { isHttp, isTls, parseProtocol } from "../../lib/protocol.ts";
import { checkBind, isPortProtocol } from "../address-rules.ts";
import { createFindings, type Finding, type Findings, type Path } from "../findings.ts";
import type { ObjectMeta } from "../object.ts";
import { checkPort, checkUnique, isDnsLabel } from "../rules.ts";
import { checkGatewayHost } from "../scoped-host.ts";
import type { GatewaySpec, Server, ServerTls } from "./schema.ts";
import { checkServerTls } from "./validate-tls.ts";

/** Checks a Gateway beyond its schema, as istiod's webhook does (pkg/config/validation). */
export function validateGateway(spec: GatewaySpec, meta: Pick<ObjectMeta, "name">): readonly Finding[] {
  const findings = createFindings();
  if (!isDnsLabel(meta.name)) {
    const text = "of a Gateway must be one label: letters, digits and dashes, 63 at most";
    findings.error(["metadata", "name"], text, "gateway-name");
  }
  const servers = spec.servers ?? [];
  if (servers.length === 0) findings.error(["spec", "servers"], "at least one server is required", "required");
  for (const [index, server] of servers.entries()) checkServer(server, ["spec", "servers", index], findings);
  const ports = servers.map((server) => server.port.name);
  checkUnique(ports, "port name", { path: (index) => ["spec", "servers", index, "port", "name"], findings });
  warnOfEqualNames(servers, findings);
  return findings.all;
}

function warnOfEqualNames(servers: readonly Server[], findings: Findings): void {
  const seen = new Set<string>();
  for (const [index, { name = "" }] of servers.entries()) {
    if (name !== "" && seen.has(name)) {
      findings.warning(["spec", "servers", index, "name"], `server name "${name}" is given twice`, "duplicate");
    }
    seen.add(name);
  }
}

function checkServer(server: Server, path: Path, findings: Findings): void {
  const { port, tls } = server;
  checkServerPort(server, path, findings);
  const protocol = parseProtocol(port.protocol);
  if (server.hosts.length === 0) findings.error([...path, "hosts"], "at least one host is required", "required");
  for (const [index, host] of server.hosts.entries()) {
    checkGatewayHost(host, { path: [...path, "hosts", index], findings });
  }
  if (isTls(protocol) && tls === undefined) {
    findings.error([...path, "tls"], `is required for ${port.protocol}`, "tls");
  }
  if (tls === undefined) return;
  if (!isHttp(protocol) && tls.httpsRedirect === true) {
    findings.warning([...path, "tls", "httpsRedirect"], "has an effect on plain HTTP servers only", "no-effect");
  }
  checkServerTls(tls, [...path, "tls"], findings);
  if (isTls(protocol)) return;
  if (!isHttp(protocol)) findings.error([...path, "tls"], `${port.protocol} cannot have it: use HTTPS or TLS`, "tls");
  else if (endsTls(tls)) {
    findings.error([...path, "tls"], `${port.protocol} can have httpsRedirect only: use HTTPS or TLS`, "tls");
  }
}

/** True for settings that plain HTTP cannot have, as istiod's webhook has it; those of PASSTHROUGH have no effect. */
function endsTls({ mode = "PASSTHROUGH", serverCertificate, privateKey, caCertificates }: ServerTls): boolean {
  const isPassedOn = mode === "PASSTHROUGH" || mode === "AUTO_PASSTHROUGH";
  return !isPassedOn || [serverCertificate, privateKey, caCertificates].some((file) => (file ?? "") !== "");
}

function checkServerPort({ port, bind }: Server, path: Path, findings: Findings): void {
  const bindsSocket = isUnixAddress(bind ?? "");
  const at = [...path, "port"];
  if (!bindsSocket) checkPort(port.number, [...at, "number"], findings);
  else if (port.number !== 0) findings.error([...at, "number"], "must be 0 for a Unix socket", "port");
  if (!isPortProtocol(port.protocol)) {
    findings.error([...at, "protocol"], `"${port.protocol}" is not a known protocol`, "protocol");
  }
  if ((port.targetPort ?? 0) > 0) findings.error([...at, "targetPort"], "has no meaning for a gateway", "port");
  checkBind(bind, { path: [...path, "bind"], sockets: "may be a socket" }, findings);
}
