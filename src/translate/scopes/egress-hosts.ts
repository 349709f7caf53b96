import { hostIsWithin, hostsOverlap } from "../../lib/hostname.ts";

/** Hosts that a listener imports, and those that it leaves out all the same. */
export interface EgressHosts {
  readonly imports: readonly HostPattern[];
  readonly exclusions: readonly HostPattern[];
}

interface HostPattern {
  /** "*" for all namespaces. */
  readonly namespace: string;
  readonly host: string;
}

/**
 * Parses the hosts of an egress listener: "namespace/host", where the namespace may be "*" for all or "." for the
 * workload's own; "~namespace/host" takes out what another entry imports, "~/host" whatever its namespace, so that "~/*"
 * imports nothing (Istio: model/sidecar.go). An entry without a slash, or with several, imports nothing.
 */
export function parseEgressHosts(hosts: readonly string[], ownNamespace: string): EgressHosts {
  const imports: HostPattern[] = [];
  const exclusions: HostPattern[] = [];
  for (const text of hosts) {
    const [stated, host, ...more] = text.split("/");
    if (stated === undefined || host === undefined || more.length > 0) continue;
    const isExclusion = stated.startsWith("~");
    const name = isExclusion ? stated.slice(1) || "*" : stated;
    const pattern = { namespace: name === "." ? ownNamespace : name, host };
    if (isExclusion) exclusions.push(pattern);
    else imports.push(pattern);
  }
  return { imports, exclusions };
}

/** True where a service of this host and namespace is imported: every name that it stands for must be wanted. */
export function importsService(hosts: EgressHosts, namespace: string, hostname: string): boolean {
  const isWithin = (pattern: HostPattern): boolean =>
    (pattern.namespace === "*" || pattern.namespace === namespace) && hostIsWithin(hostname, pattern.host);
  return hosts.imports.some(isWithin) && !hosts.exclusions.some(isWithin);
}

/** True where a virtual service of a namespace has a host in common with what is imported. */
export function importsRule(hosts: EgressHosts, namespace: string, ruleHosts: readonly string[]): boolean {
  return ruleHosts.some(
    (host) =>
      hosts.imports.some(
        (pattern) => (pattern.namespace === "*" || pattern.namespace === namespace) && hostsOverlap(host, pattern.host),
      ) &&
      !hosts.exclusions.some(
        (pattern) => (pattern.namespace === "*" || pattern.namespace === namespace) && hostIsWithin(host, pattern.host),
      ),
  );
}

/**
 * True where an alias of an imported service is imported with it: a name of the kind that imports the service, whatever
 * namespace the alias itself stands in. What is taken out are services, not names of others (Istio: matchingAliasService).
 */
export function importsAlias(
  hosts: EgressHosts,
  service: { readonly namespace: string; readonly hostname: string },
  alias: { readonly hostname: string },
): boolean {
  const own = hosts.imports.filter(({ namespace }) => namespace === service.namespace);
  const isOwn = own.some(({ host }) => hostIsWithin(service.hostname, host));
  const wanted = isOwn ? own : hosts.imports.filter(({ namespace }) => namespace === "*");
  return wanted.some(({ host }) => hostIsWithin(alias.hostname, host));
}
