import { isUnixAddress } from "../../lib/host-port.ts";
import { checkBind } from "../address-rules.ts";
import type { Findings, Path } from "../findings.ts";
import { checkPort } from "../rules.ts";
import { checkEgressHost } from "../scoped-host.ts";
import { checkSidecarPort } from "./check-sidecar-port.ts";
import type { EgressListener } from "./schema.ts";

/** Checks listeners for traffic from the workload; `namespace` is that of the Sidecar. */
export function checkEgress(listeners: readonly EgressListener[], namespace: string, findings: Findings): void {
  const catchAll = listeners.findIndex((listener) => listener.port === undefined);
  if (catchAll >= 0 && catchAll < listeners.length - 1) {
    findings.error(["spec", "egress", catchAll], "a listener without port must be the last one", "order");
  }
  const seen = new Set<number | string>();
  for (const [index, listener] of listeners.entries()) {
    const path = ["spec", "egress", index];
    if (listener.hosts.length === 0) findings.error([...path, "hosts"], "at least one host is required", "required");
    for (const [at, host] of listener.hosts.entries()) {
      checkEgressHost(host, { path: [...path, "hosts", at], findings });
    }
    warnOfCoveredHosts(listener.hosts, { path: [...path, "hosts"], namespace, findings });
    checkEgressAddress(listener, path, findings);
    if (listener.port === undefined) continue;
    const { number = 0 } = listener.port;
    const place = number === 0 ? (listener.bind ?? "") : number;
    if (seen.has(place)) findings.error([...path, "port", "number"], `port ${place} is given twice`, "duplicate");
    seen.add(place);
  }
}

function checkEgressAddress(listener: EgressListener, path: Path, findings: Findings): void {
  const { port, bind = "", captureMode = "DEFAULT" } = listener;
  if (port === undefined) {
    if (bind !== "") findings.warning([...path, "bind"], "has no effect without a port", "no-effect");
    return;
  }
  checkSidecarPort(port, [...path, "port"], findings);
  if ((port.number ?? 0) !== 0) {
    checkPort(port.number, [...path, "port", "number"], findings);
    checkBind(bind, { path: [...path, "bind"], sockets: "no sockets" }, findings);
    return;
  }
  if (!isUnixAddress(bind)) {
    findings.error(
      [...path, "port", "number"],
      "must be a port from 1 to 65535 where bind is not a Unix socket",
      "port",
    );
  }
  checkBind(bind, { path: [...path, "bind"], sockets: "may be a socket" }, findings);
  if (captureMode !== "NONE" && captureMode !== "DEFAULT") {
    findings.error([...path, "captureMode"], "must be DEFAULT or NONE for a Unix socket", "enum");
  }
}

interface HostsContext {
  readonly path: Path;
  readonly namespace: string;
  readonly findings: Findings;
}

/** Warns of hosts that others of the list hold already. Hosts that are taken out ("~") count for themselves. */
function warnOfCoveredHosts(hosts: readonly string[], { path, namespace, findings }: HostsContext): void {
  const byNamespace = new Map<string, Set<string>>();
  for (const [index, host] of hosts.entries()) {
    const slash = host.indexOf("/");
    if (slash < 0 || host.startsWith("~")) continue;
    const given = host.slice(0, slash);
    const [scope, name] = [given === "." ? namespace : given, host.slice(slash + 1)];
    const known = byNamespace.get(scope) ?? new Set<string>();
    const isCovered = name === "*" ? known.size > 0 : known.has(name) || known.has("*");
    if (isCovered) findings.warning([...path, index], `"${host}" and a host before it hold the same`, "duplicate");
    byNamespace.set(scope, known.add(name));
  }
  if (byNamespace.get("*")?.has("*") === true && byNamespace.size > 1) {
    findings.warning(path, '"*/*" stands for all hosts: the others add nothing', "duplicate");
  }
}
