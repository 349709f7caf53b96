import { isUnixAddress } from "../../lib/host-port.ts";
import { isHttp, isTls, parseProtocol } from "../../lib/protocol.ts";
import { checkBind, checkUnixAddress } from "../address-rules.ts";
import { checkConnectionPool } from "../destination-rule/validate-connection-pool.ts";
import { createFindings, type Finding, type Findings, type Path } from "../findings.ts";
import { checkServerTls } from "../gateway/validate-tls.ts";
import type { ObjectMeta } from "../object.ts";
import { checkHost, checkPort, isDnsLabel, isDnsName } from "../rules.ts";
import { checkSelector } from "../workload-selector.ts";
import { checkSidecarPort } from "./check-sidecar-port.ts";
import type { IngressListener, OutboundTrafficPolicy, SidecarSpec } from "./schema.ts";
import { checkEgress } from "./validate-egress.ts";

/** Checks a Sidecar beyond its schema, as istiod's webhook does (pkg/config/validation). */
export function validateSidecar(spec: SidecarSpec, meta: Pick<ObjectMeta, "namespace">): readonly Finding[] {
  const findings = createFindings();
  const { ingress = [], egress = [], outboundTrafficPolicy, inboundConnectionPool, workloadSelector } = spec;
  const isEmpty = ingress.length === 0 && egress.length === 0;
  if (isEmpty && outboundTrafficPolicy === undefined && inboundConnectionPool === undefined) {
    findings.error(
      ["spec"],
      "one of ingress, egress, outboundTrafficPolicy, inboundConnectionPool is required",
      "required",
    );
  }
  if (workloadSelector !== undefined) {
    checkSelector(workloadSelector.labels, { path: ["spec", "workloadSelector"], field: "labels" }, findings);
  }
  checkIngress(ingress, findings);
  checkEgress(egress, meta.namespace, findings);
  if (inboundConnectionPool !== undefined)
    checkConnectionPool(inboundConnectionPool, ["spec", "inboundConnectionPool"], findings);
  if (outboundTrafficPolicy !== undefined) checkOutbound(outboundTrafficPolicy, findings);
  return findings.all;
}

function checkOutbound({ mode, egressProxy: proxy }: OutboundTrafficPolicy, findings: Findings): void {
  const path = ["spec", "outboundTrafficPolicy"];
  if (mode === "ALLOW_ANY_DYNAMIC_DNS") {
    findings.error([...path, "mode"], "must be REGISTRY_ONLY or ALLOW_ANY here: it is for the whole mesh", "enum");
    return;
  }
  if (proxy === undefined) return;
  const at = [...path, "egressProxy"];
  if (mode !== "ALLOW_ANY") findings.error(at, "needs mode ALLOW_ANY", "one-of");
  if (!isDnsName(proxy.host)) checkNoHost(proxy.host, [...at, "host"], findings);
  if ((proxy.subset ?? "") !== "" && !isDnsLabel(proxy.subset ?? "")) {
    findings.error([...at, "subset"], `"${proxy.subset}" is not a valid name of a subset`, "subset");
  }
  checkPort(proxy.port?.number, [...at, "port", "number"], findings);
}

/** Says why a host that may not be a wildcard is none. */
function checkNoHost(host: string, path: Path, findings: Findings): void {
  if (checkHost(host, path, findings)) findings.error(path, "must not be a wildcard or number", "host");
}

const endpointPattern = /^(|127\.0\.0\.1|0\.0\.0\.0|\[(?:::1|::|127\.0\.0\.1|0\.0\.0\.0|)\]):\+?([0-9]{1,9})$/;

function checkIngress(listeners: readonly IngressListener[], findings: Findings): void {
  const seen = new Set<number>();
  for (const [index, listener] of listeners.entries()) {
    const path = ["spec", "ingress", index];
    const port = listener.port.number ?? 0;
    checkPort(port, [...path, "port", "number"], findings);
    checkSidecarPort(listener.port, [...path, "port"], findings);
    if (seen.has(port)) findings.error([...path, "port", "number"], `port ${port} is given twice`, "duplicate");
    seen.add(port);
    checkBind(listener.bind, { path: [...path, "bind"], sockets: "no sockets" }, findings);
    checkDefaultEndpoint(listener.defaultEndpoint ?? "", [...path, "defaultEndpoint"], findings);
    if (listener.tls !== undefined) checkIngressTls(listener, [...path, "tls"], findings);
    if (listener.connectionPool === undefined) continue;
    checkConnectionPool(listener.connectionPool, [...path, "connectionPool"], findings);
    if (listener.connectionPool.http !== undefined && !isHttp(parseProtocol(listener.port.protocol ?? ""))) {
      findings.warning([...path, "connectionPool", "http"], "has no effect on a port that is not HTTP", "no-effect");
    }
  }
}

function checkIngressTls({ tls = {}, port }: IngressListener, path: Path, findings: Findings): void {
  if (tls.httpsRedirect === true) findings.error([...path, "httpsRedirect"], "is not possible on a sidecar", "tls");
  for (const field of ["subjectAltNames", "credentialName", "credentialNames", "tlsCertificates"] as const) {
    if ((tls[field] ?? "").length > 0) findings.error([...path, field], "is not possible on a sidecar", "tls");
  }
  if (tls.mode === "ISTIO_MUTUAL" || tls.mode === "AUTO_PASSTHROUGH") {
    findings.error([...path, "mode"], `${tls.mode} is not possible on a sidecar`, "tls");
  }
  if (!isTls(parseProtocol(port.protocol ?? ""))) {
    findings.error(path, `${port.protocol ?? "a port without protocol"} cannot have it: use HTTPS or TLS`, "tls");
  }
  checkServerTls(tls, path, findings);
}

function checkDefaultEndpoint(endpoint: string, path: Path, findings: Findings): void {
  if (endpoint === "") return;
  if (isUnixAddress(endpoint)) {
    checkUnixAddress(endpoint, path, findings);
    return;
  }
  const port = endpointPattern.exec(endpoint)?.[2];
  if (port === undefined) {
    findings.error(path, "must be 127.0.0.1:PORT, 0.0.0.0:PORT, [::1]:PORT, [::]:PORT or unix:///path", "address");
  } else checkPort(Number(port), path, findings);
}
