/**
 * Look-ups over what an egress listener sees, made once for each list and shared by everything that reads it, so that
 * finding the virtual services of a host never loops over all of them.
 */
import { compareHostSpecificity, hostIsWithin, hostsOverlap, isWildcardHost } from "../../lib/hostname.ts";
import { memoByIdentity } from "../../lib/memo.ts";
import type { Service } from "../../model/service.ts";
import type { ResolvedVirtualService } from "../../snapshot/snapshot.ts";

export interface ServiceHostIndex {
  /** By hostname in lower case: how a host is written tells no services apart. */
  readonly byHostname: ReadonlyMap<string, Service>;
  /** Services that have the port, in the order of the list. */
  listByPort(port: number): readonly Service[];
}

export interface VirtualServiceIndex {
  /** Wildcard hosts, the most specific first. */
  readonly wildcards: readonly string[];
  /** Wildcard hosts that have a name in common with the host. */
  listWildcards(hostname: string): readonly string[];
  /** All virtual services with a host that overlaps the given one, oldest first. */
  listForHost(hostname: string): readonly ResolvedVirtualService[];
  /** The one that serves a host: the oldest with exactly this host, otherwise the most specific wildcard. */
  findMostSpecific(hostname: string): ResolvedVirtualService | undefined;
}

/** Index of services; the same for the same array. */
export const indexServices: (services: readonly Service[]) => ServiceHostIndex = memoByIdentity(buildServiceIndex);

/** Index of virtual services; the same for the same array (which must be sorted, oldest first). */
export const indexVirtualServices: (virtualServices: readonly ResolvedVirtualService[]) => VirtualServiceIndex =
  memoByIdentity(buildVirtualServiceIndex);

/**
 * Services whose name a wildcard host of a virtual service covers or overlaps, by that wildcard; the same map for the
 * same arrays.
 */
export const indexWildcardServices: (
  services: readonly Service[],
  virtualServices: readonly ResolvedVirtualService[],
) => ReadonlyMap<string, readonly Service[]> = memoByIdentity(buildWildcardServices);

function buildWildcardServices(
  services: readonly Service[],
  virtualServices: readonly ResolvedVirtualService[],
): ReadonlyMap<string, readonly Service[]> {
  const { wildcards, listWildcards } = indexVirtualServices(virtualServices);
  const found = new Map<string, Service[]>(wildcards.map((wildcard) => [wildcard, []]));
  if (wildcards.length === 0) return found;
  for (const service of services) {
    for (const wildcard of listWildcards(service.hostname.toLowerCase())) found.get(wildcard)?.push(service);
  }
  return found;
}

function buildServiceIndex(services: readonly Service[]): ServiceHostIndex {
  const byHostname = new Map<string, Service>();
  const byPort = new Map<number, Service[]>();
  for (const service of services) {
    byHostname.set(service.hostname.toLowerCase(), service);
    for (const number of new Set(service.ports.map((port) => port.number))) {
      const list = byPort.get(number);
      if (list === undefined) byPort.set(number, [service]);
      else list.push(service);
    }
  }
  return {
    byHostname,
    listByPort: (port) => byPort.get(port) ?? [],
  };
}

function buildVirtualServiceIndex(virtualServices: readonly ResolvedVirtualService[]): VirtualServiceIndex {
  const byHost = new Map<string, ResolvedVirtualService[]>();
  for (const virtualService of virtualServices) {
    for (const host of new Set(virtualService.hosts)) {
      const list = byHost.get(host);
      if (list === undefined) byHost.set(host, [virtualService]);
      else list.push(virtualService);
    }
  }
  const hosts = [...byHost.keys()];
  const wildcards = hosts.filter(isWildcardHost).sort(compareHostSpecificity);
  const age = new Map(virtualServices.map((virtualService, index) => [virtualService, index]));

  const irregular = wildcards.filter((host) => host !== "*" && !host.startsWith("*."));
  const listCovering = (hostname: string): readonly string[] => {
    const found = irregular.filter((pattern) => hostIsWithin(hostname, pattern));
    for (const pattern of listSuffixPatterns(hostname)) if (byHost.has(pattern)) found.push(pattern);
    return irregular.length === 0 ? found : found.sort(compareHostSpecificity);
  };
  const listForHost = (hostname: string): readonly ResolvedVirtualService[] => {
    // A wildcard service overlaps exact hosts too; only then all hosts are looked at.
    const others = isWildcardHost(hostname)
      ? hosts.filter((host) => hostsOverlap(host, hostname))
      : listCovering(hostname);
    const found = new Set([hostname, ...others].flatMap((host) => byHost.get(host) ?? []));
    return [...found].sort((a, b) => (age.get(a) ?? 0) - (age.get(b) ?? 0));
  };
  const findMostSpecific = (hostname: string): ResolvedVirtualService | undefined => {
    const host = byHost.has(hostname) ? hostname : listCovering(hostname)[0];
    return host === undefined ? undefined : byHost.get(host)?.[0];
  };
  const listWildcards = (hostname: string): readonly string[] =>
    isWildcardHost(hostname) ? wildcards.filter((pattern) => hostsOverlap(pattern, hostname)) : listCovering(hostname);
  return { wildcards, listWildcards, listForHost, findMostSpecific };
}

/** Wildcards of whole labels that cover a host, the longest first: "a.b.c" gives "*.b.c", "*.c", "*". */
function listSuffixPatterns(hostname: string): readonly string[] {
  const patterns: string[] = [];
  const start = isWildcardHost(hostname) ? 2 : 0;
  for (let at = hostname.indexOf(".", start); at >= 0; at = hostname.indexOf(".", at + 1)) {
    patterns.push(`*${hostname.slice(at)}`);
  }
  if (hostname !== "*") patterns.push("*");
  return patterns;
}
