/** Rules for the hosts of VirtualServices and the server names of their TLS routes. */
import { hostsOverlap } from "../../lib/hostname.ts";
import type { Findings, Path } from "../findings.ts";
import { isAddress, isWildcardDnsName } from "../rules.ts";
import type { VirtualServiceSpec } from "./schema.ts";

/** True where the rules are for gateways only; also where no gateway is named, as a list without "mesh". */
export const namesOnlyGateways = (spec: VirtualServiceSpec): boolean => !(spec.gateways ?? []).includes("mesh");

/**
 * Names that a gateway of mode AUTO_PASSTHROUGH reads, such as "outbound_.80_.v1_.reviews.default.svc.cluster.local".
 * Istio asks only for a digit in the port and a letter in the host.
 */
export function isPassthroughName(name: string): boolean {
  if (!name.startsWith("outbound_") || name.length > 255) return false;
  const [, port = "", , host] = name.split("_");
  return host !== undefined && /[0-9]/.test(port) && /[a-zA-Z]/.test(host);
}

/** Checks the hosts: valid, no "*" for the mesh, none within another (pkg/config/validation, ValidateVirtualService). */
export function checkHosts(spec: VirtualServiceSpec, findings: Findings): void {
  const hosts = spec.hosts ?? [];
  const hasGateways = (spec.gateways ?? []).length > 0;
  const onlyGateways = hasGateways && namesOnlyGateways(spec);
  const hasServerNames = (spec.tls ?? []).some((route) => route.match.some((match) => match.sniHosts.length > 0));
  const isValid = (host: string) =>
    onlyGateways && hasServerNames && host.startsWith("outbound_")
      ? isPassthroughName(host)
      : isWildcardDnsName(host) || isAddress(host);
  let areValid = true;
  for (const [index, host] of hosts.entries()) {
    const path = ["spec", "hosts", index];
    if (!isValid(host)) {
      areValid = false;
      findings.error(path, `"${host}" is not a valid host name or IP address`, "host");
    } else if (host === "*" && !onlyGateways) {
      areValid = false;
      findings.error(path, '"*" is not allowed for the gateway "mesh": name the hosts, or the gateways', "host");
    } else if (onlyGateways && host !== "*" && !/[.:]/.test(host)) {
      findings.warning(path, `"${host}" should be a full name, because it is served by gateways only`, "host");
    }
  }
  if (areValid) checkOverlaps(hosts, findings);
}

function checkOverlaps(hosts: readonly string[], findings: Findings): void {
  for (const [index, host] of hosts.entries()) {
    const other = hosts.slice(0, index).find((earlier) => hostsOverlap(earlier, host));
    if (other === undefined) continue;
    const text = other === host ? `host "${host}" is given twice` : `host "${host}" overlaps with "${other}"`;
    findings.error(["spec", "hosts", index], text, "duplicate");
  }
}

/** Checks a server name: valid, and within a host of the virtual service. IP addresses are no server names, but taken. */
export function checkSniHost(
  name: string,
  path: Path,
  context: { spec: VirtualServiceSpec; findings: Findings },
): void {
  const { spec, findings } = context;
  const isSpecial = namesOnlyGateways(spec) && name.startsWith("outbound_");
  if (isSpecial ? !isPassthroughName(name) : !isWildcardDnsName(name)) {
    if (isAddress(name)) findings.warning(path, "clients send no server name for IP addresses", "no-effect");
    else findings.error(path, `"${name}" is not a valid host name`, "host");
    return;
  }
  if (!(spec.hosts ?? []).some((host) => isSubset(name, host))) {
    findings.error(path, `"${name}" is not within the hosts of the virtual service`, "sni-host");
  }
}

/** Istio's host.Name.SubsetOf, for which "*foo" holds "foo" too. */
function isSubset(name: string, host: string): boolean {
  if (!host.startsWith("*")) return name === host;
  const tail = host.slice(1);
  if (!name.startsWith("*")) return name.endsWith(tail);
  return name.length >= host.length && name.slice(1).endsWith(tail);
}
