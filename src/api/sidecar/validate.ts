import { isUnixAddress } from "../../lib/host-port.ts";
import { checkConnectionPool } from "../destination-rule/validate.ts";
import { createFindings, type Finding, type Findings, type Path } from "../findings.ts";
import { checkServerTls } from "../gateway/validate.ts";
import { checkHost, checkLabels, checkPort, isAddress, isDnsLabel, isWildcardDnsName } from "../rules.ts";
import type { EgressListener, IngressListener, SidecarSpec } from "./schema.ts";

/** Checks a Sidecar beyond its schema, as istiod's webhook does (pkg/config/validation). */
export function validateSidecar(spec: SidecarSpec): readonly Finding[] {
  const findings = createFindings();
  const { ingress = [], egress = [], outboundTrafficPolicy, inboundConnectionPool } = spec;
  const isEmpty = ingress.length === 0 && egress.length === 0;
  if (isEmpty && outboundTrafficPolicy === undefined && inboundConnectionPool === undefined) {
    findings.error(
      ["spec"],
      "one of ingress, egress, outboundTrafficPolicy, inboundConnectionPool is required",
      "required",
    );
  }
  checkLabels(spec.workloadSelector?.labels, ["spec", "workloadSelector", "labels"], findings);
  checkIngress(ingress, findings);
  checkEgress(egress, findings);
  if (inboundConnectionPool !== undefined)
    checkConnectionPool(inboundConnectionPool, ["spec", "inboundConnectionPool"], findings);
  const proxy = outboundTrafficPolicy?.egressProxy;
  if (proxy !== undefined) {
    const path = ["spec", "outboundTrafficPolicy", "egressProxy"];
    checkHost(proxy.host, [...path, "host"], findings);
    if (outboundTrafficPolicy?.mode === "REGISTRY_ONLY") findings.error(path, "needs mode ALLOW_ANY", "one-of");
    checkPort(proxy.port?.number, [...path, "port", "number"], findings);
  }
  return findings.all;
}

const endpointPattern = /^(127\.0\.0\.1|0\.0\.0\.0|\[::1\]|\[::\]):([0-9]{1,5})$/;

function checkIngress(listeners: readonly IngressListener[], findings: Findings): void {
  const seen = new Set<number>();
  for (const [index, listener] of listeners.entries()) {
    const path = ["spec", "ingress", index];
    const port = listener.port.number;
    checkPort(port, [...path, "port", "number"], findings);
    if (port !== undefined && seen.has(port))
      findings.error([...path, "port", "number"], `port ${port} is given twice`, "duplicate");
    if (port !== undefined) seen.add(port);
    checkBind(listener.bind, [...path, "bind"], findings);
    checkDefaultEndpoint(listener.defaultEndpoint ?? "", [...path, "defaultEndpoint"], findings);
    if (listener.tls !== undefined) checkIngressTls(listener.tls, [...path, "tls"], findings);
    if (listener.connectionPool !== undefined)
      checkConnectionPool(listener.connectionPool, [...path, "connectionPool"], findings);
  }
}

function checkIngressTls(tls: NonNullable<IngressListener["tls"]>, path: Path, findings: Findings): void {
  if (tls.httpsRedirect === true) findings.error([...path, "httpsRedirect"], "is not possible on a sidecar", "tls");
  if (tls.mode !== "SIMPLE" && tls.mode !== "MUTUAL" && tls.mode !== "OPTIONAL_MUTUAL") {
    findings.error([...path, "mode"], "must be SIMPLE, MUTUAL or OPTIONAL_MUTUAL on a sidecar", "tls");
  }
  checkServerTls(tls, path, findings);
}

function checkDefaultEndpoint(endpoint: string, path: Path, findings: Findings): void {
  if (endpoint === "" || isUnixAddress(endpoint)) return;
  const port = endpointPattern.exec(endpoint)?.[2];
  if (port === undefined) {
    findings.error(path, "must be 127.0.0.1:PORT, 0.0.0.0:PORT, [::1]:PORT, [::]:PORT or unix:///path", "address");
  } else checkPort(Number(port), path, findings);
}

function checkBind(bind: string | undefined, path: Path, findings: Findings): void {
  const value = bind ?? "";
  if (value !== "" && !isUnixAddress(value) && !isAddress(value)) {
    findings.error(path, `"${value}" is not an IP address or unix:// path`, "address");
  }
}

function checkEgress(listeners: readonly EgressListener[], findings: Findings): void {
  const catchAll = listeners.findIndex((listener) => listener.port === undefined);
  if (catchAll >= 0 && catchAll < listeners.length - 1) {
    findings.error(["spec", "egress", catchAll], "a listener without port must be the last one", "order");
  }
  for (const [index, listener] of listeners.entries()) {
    const path = ["spec", "egress", index];
    if (listener.hosts.length === 0) findings.error([...path, "hosts"], "at least one host is required", "required");
    for (const [at, host] of listener.hosts.entries()) checkEgressHost(host, [...path, "hosts", at], findings);
    checkBind(listener.bind, [...path, "bind"], findings);
    const isSocket = isUnixAddress(listener.bind ?? "");
    if (listener.port !== undefined && !isSocket)
      checkPort(listener.port.number, [...path, "port", "number"], findings);
    if (listener.port === undefined && (listener.bind ?? "") !== "") {
      findings.error([...path, "bind"], "needs a port", "required");
    }
    if (
      isSocket &&
      listener.captureMode !== undefined &&
      listener.captureMode !== "NONE" &&
      listener.captureMode !== "DEFAULT"
    ) {
      findings.error([...path, "captureMode"], "must be DEFAULT or NONE for a Unix socket", "enum");
    }
  }
}

/**
 * Checks "namespace/host": the namespace is a name, ".", "*", or "~" for nothing at all; "~" in front of a namespace
 * takes the host out again.
 */
function checkEgressHost(host: string, path: Path, findings: Findings): void {
  const [namespace = "", name, more] = host.split("/");
  if (name === undefined || more !== undefined) {
    findings.error(path, `"${host}" must be namespace/host, such as "./*" or "prod/api.example.com"`, "host");
    return;
  }
  if (namespace === "~") {
    if (name !== "*") findings.error(path, 'only "~/*" has a meaning: no hosts at all', "host");
    return;
  }
  const plain = namespace.startsWith("~") ? namespace.slice(1) : namespace;
  if (plain !== "*" && plain !== "." && !isDnsLabel(plain)) {
    findings.error(path, `"${namespace}" is not a namespace, ".", "*" or "~"`, "host");
  }
  if (!isWildcardDnsName(name)) findings.error(path, `"${name}" is not a valid host name`, "host");
}
