/** Rules for the hosts of VirtualServices and the server names of their TLS routes. */
import { compareText } from "../../lib/text-order.ts";
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
  for (const [index, earlier] of findOverlaps(hosts)) {
    const [host, other] = [hosts[index], hosts[earlier]];
    const text = other === host ? `host "${host}" is given twice` : `host "${host}" overlaps with "${other}"`;
    findings.error(["spec", "hosts", index], text, "duplicate");
  }
}

interface SortedHost {
  readonly index: number;
  readonly isWildcard: boolean;
  /** The name, without a leading "*", from its end to its beginning. */
  readonly key: string;
}

/**
 * Indexes of hosts, each with that of an earlier one that it overlaps with, in order. Written backwards and sorted, a name
 * follows the wildcards that hold it: whoever writes 100,000 hosts must not keep the process busy for minutes.
 */
function findOverlaps(hosts: readonly string[]): readonly (readonly [number, number])[] {
  const sorted = hosts.map((host, index): SortedHost => {
    const isWildcard = host.startsWith("*");
    return { index, isWildcard, key: [...(isWildcard ? host.slice(1) : host)].reverse().join("") };
  });
  sorted.sort((a, b) => compareText(a.key, b.key) || Number(b.isWildcard) - Number(a.isWildcard) || a.index - b.index);
  const holders: SortedHost[] = [];
  const overlaps = new Map<number, number>();
  let last: SortedHost | undefined;
  for (const host of sorted) {
    while (!host.key.startsWith(holders.at(-1)?.key ?? "")) holders.pop();
    const isTwice = last?.key === host.key && last.isWildcard === host.isWildcard;
    const other = isTwice ? last : holders.findLast(({ key }) => key.length < host.key.length);
    if (other !== undefined) overlaps.set(Math.max(host.index, other.index), Math.min(host.index, other.index));
    if (host.isWildcard && !isTwice) holders.push(host);
    last = host;
  }
  return [...overlaps].sort(([a], [b]) => a - b);
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
