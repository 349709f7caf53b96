/**
 * The names under which a client may call a service: the domains of its virtual host. Rules: Istio
 * pilot/pkg/networking/core/httproute.go (generateVirtualHostDomains, GenerateAltVirtualHosts).
 */

import { isIP } from "node:net";
import { bracketAddress, joinHostPort } from "../../lib/host-port.ts";
import { createSlotMemo } from "../../lib/slot-memo.ts";
import { type Service, unspecifiedAddress } from "../../model/service.ts";
import type { ScopeKey } from "../scope.ts";

/** What of a scope decides about domains. */
export type DomainScope = Pick<ScopeKey, "dnsDomain" | "dnsCapture" | "ipFamilies">;

export interface DomainList {
  readonly domains: readonly string[];
  /** The domains in lower case, in the same order: Envoy compares without regard to case. */
  readonly keys: readonly string[];
  /** All domains as one text, equal for equal lists. */
  readonly id: string;
  /** Those of the domains that are short forms: they give way to a service whose full name they are. */
  readonly shortForms: ReadonlySet<string>;
}

const serviceLabel = ".svc.";
const keptDomains = createSlotMemo<DomainList>(64);

/**
 * Domains of a service on a port. `port` adds the forms with ":port" as a proxy for absolute URLs needs them; without
 * it the route configuration must ignore ports in the host.
 */
export function listServiceDomains(scope: DomainScope, service: Service, port?: number): DomainList {
  const { v4, v6 } = scope.ipFamilies;
  const slot = `${describeRelation(scope.dnsDomain, service)}|${scope.dnsCapture}|${v4}|${v6}|${port ?? ""}`;
  return keptDomains({ owner: service, slot }, [], () => {
    const domains: string[] = [];
    const shortForms = new Set<string>();
    for (const written of listHostnames(service)) {
      const hostname = port === undefined ? written.toLowerCase() : written;
      const short = listShortForms(hostname, scope.dnsDomain).flatMap((name) => withPort(name, port));
      domains.push(...withPort(hostname, port), ...short);
      for (const name of short) shortForms.add(name);
    }
    // Pods of a headless service are called by names below that of the service.
    if (service.resolution === "passthrough" && service.registry === "Kubernetes") {
      domains.push(...domains.map((name) => `*.${name}`));
    }
    for (const address of listClientAddresses(scope, service)) {
      // Of a Kubernetes service no address counts that the proxy cannot reach; listeners make do with it.
      if (service.registry === "Kubernetes" && !isReachable(scope, address)) continue;
      domains.push(...withPort(address, port));
    }
    return describeDomains(domains, shortForms);
  });
}

/** Domains of a host that a virtual service names and no service has. */
export function listHostDomains(hostname: string): DomainList {
  return describeDomains([bracketAddress(hostname)], new Set());
}

function describeDomains(domains: readonly string[], shortForms: ReadonlySet<string>): DomainList {
  return { domains, keys: domains.map((domain) => domain.toLowerCase()), id: domains.join(","), shortForms };
}

/**
 * What of the client's domain changes the names of a service: the cluster's suffix, and the namespace only where it is
 * that of the service. So scopes of all other namespaces share their virtual hosts.
 */
function describeRelation(dnsDomain: string, service: Service): string {
  const at = dnsDomain.indexOf(serviceLabel);
  if (at < 0) return dnsDomain;
  const namespacePart = `.${dnsDomain.slice(0, at)}${serviceLabel}`;
  const isNear = listHostnames(service).some((hostname) => hostname.includes(namespacePart));
  return isNear ? dnsDomain : dnsDomain.slice(at);
}

function listHostnames(service: Service): readonly string[] {
  return [service.hostname, ...service.aliases.map((alias) => alias.hostname)];
}

/**
 * Other names of a host for clients of `dnsDomain` ("namespace.svc.cluster.local"): the absolute name, and for services
 * of the same cluster suffix the shorter names, also the bare one inside the same namespace.
 */
export function listShortForms(hostname: string, dnsDomain: string): readonly string[] {
  // An address has no absolute form.
  if (isIP(hostname) !== 0) return listSharedDomainForms(hostname, dnsDomain);
  const absolute = `${hostname}.`;
  const domainAt = dnsDomain.indexOf(serviceLabel);
  if (domainAt < 0) return [absolute, ...listSharedDomainForms(hostname, dnsDomain)];
  const suffix = domainAt === 0 ? dnsDomain : dnsDomain.slice(domainAt);
  const labelAt = hostname.indexOf(serviceLabel);
  // Other hosts may not be shortened: their short names could be those of services.
  if (!hostname.endsWith(suffix) || labelAt <= 0) return [absolute];
  const nameEnd = hostname.indexOf(".");
  if (nameEnd + 1 > labelAt) return [absolute];
  const qualified = hostname.slice(0, labelAt);
  const withLabel = `${qualified}.svc`;
  const isOwnNamespace = hostname.slice(nameEnd + 1, labelAt) === dnsDomain.slice(0, domainAt);
  if (isOwnNamespace) return [absolute, hostname.slice(0, nameEnd), withLabel, qualified];
  return [absolute, qualified, withLabel];
}

/**
 * Addresses (also CIDR blocks) that clients of the scope call a service by; empty where it has none. They are of the
 * families that the proxy has; a proxy with both takes that of the first address. A service without any of these keeps
 * its first address (Istio: model.Service getAllAddressesForProxy).
 */
export function listClientAddresses(scope: DomainScope, service: Service): readonly string[] {
  const own = service.addresses.filter((address) => address !== "" && address !== unspecifiedAddress);
  const { v4, v6 } = scope.ipFamilies;
  const auto = v4 || !v6 ? service.autoAllocatedAddress : service.autoAllocatedAddressV6;
  // Only a proxy that answers DNS for its workload makes the workload use addresses that the mesh has made up.
  if (own.length === 0) return auto !== undefined && scope.dnsCapture ? [auto] : [];
  const usable = own.filter((address) => hasFamily(scope, isIpv6(address), own[0] ?? ""));
  return usable.length > 0 ? usable : own.slice(0, 1);
}

function isReachable({ ipFamilies: { v4, v6 } }: DomainScope, address: string): boolean {
  return isIpv6(address) ? v6 : v4;
}

function hasFamily({ ipFamilies: { v4, v6 } }: DomainScope, isV6: boolean, first: string): boolean {
  if (v4 && v6) return isV6 === isIpv6(first);
  return isV6 ? v6 : v4;
}

function isIpv6(address: string): boolean {
  return address.includes(":");
}

/** Outside Kubernetes names: what a host and the client's domain share may be left off. */
function listSharedDomainForms(hostname: string, dnsDomain: string): readonly string[] {
  const host = hostname.split(".");
  const client = dnsDomain.split(".");
  let shared = 0;
  while (shared < Math.min(host.length, client.length) && host.at(-1 - shared) === client.at(-1 - shared)) shared++;
  if (shared === 0 || shared === host.length) return [];
  const unique = host.slice(0, host.length - shared);
  const forms = [unique.join(".")];
  if (unique.length === 2) forms.push([...unique, host[host.length - shared]].join("."));
  return forms;
}

function withPort(name: string, port: number | undefined): readonly string[] {
  return port === undefined ? [bracketAddress(name)] : [bracketAddress(name), joinHostPort(name, port)];
}
