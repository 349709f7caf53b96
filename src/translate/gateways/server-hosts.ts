/**
 * Hosts of a gateway's server: "host" for virtual services of every namespace, "namespace/host" for those of one. Rules:
 * Istio model/gateway.go sanitizeServerHostNamespace, pkg/config/host Names.
 */

import { hostIsWithin, isWildcardHost } from "../../lib/hostname.ts";
import { compareText } from "../../lib/text-order.ts";

/** One host of a server. */
export interface ServerHost {
  readonly host: string;
  /** The only namespace whose virtual services may serve the host; undefined for all. */
  readonly namespace: string | undefined;
}

/** Parses the hosts of a server in a Gateway of `gatewayNamespace`; "." is that namespace, "*" any. */
export function parseServerHosts(hosts: readonly string[], gatewayNamespace: string): readonly ServerHost[] {
  const parsed = hosts.map((text) => parseServerHost(text, gatewayNamespace));
  // "*/*" takes everything from everywhere, whatever stands beside it.
  return hosts.includes("*/*") ? [{ host: "*", namespace: undefined }] : parsed;
}

/** "namespace/host", or "host" alone for all namespaces. */
export function formatServerHost({ host, namespace }: ServerHost): string {
  return namespace === undefined ? host : `${namespace}/${host}`;
}

/** Hosts without their namespaces, each once, sorted by text: what a TLS handshake names. */
export function listServerNames(hosts: readonly ServerHost[]): readonly string[] {
  return [...new Set(hosts.map(({ host }) => host))].sort();
}

/** True where virtual services of the namespace may serve the host. */
export function isOpenTo(host: ServerHost, namespace: string): boolean {
  return host.namespace === undefined || host.namespace === namespace;
}

/**
 * What hosts of a server and of a virtual service have in common, each once: of two hosts, one of which holds the other,
 * the narrower. Hosts that are exact on both sides are looked up, so that long lists stay cheap.
 */
export function intersectHosts(
  server: ServerHostIndex,
  virtualService: { readonly hosts: readonly string[]; readonly namespace: string },
): readonly string[] {
  const { hosts, namespace } = virtualService;
  const wildcards = server.wildcards.filter((candidate) => isOpenTo(candidate, namespace)).map(({ host }) => host);
  return [
    ...new Set(
      hosts.flatMap((host) => [
        ...listExactWithin(server, host, namespace),
        ...wildcards.flatMap((wildcard) => narrower(host, wildcard)),
      ]),
    ),
  ];
}

/** Exact hosts of the server that a host of a virtual service stands for. */
function listExactWithin({ exact }: ServerHostIndex, host: string, namespace: string): readonly string[] {
  const isOpen = (candidate: string): boolean =>
    exact.get(candidate)?.some((entry) => isOpenTo(entry, namespace)) === true;
  if (!isWildcardHost(host)) return isOpen(host) ? [host] : [];
  return [...exact.keys()].filter((candidate) => hostIsWithin(candidate, host) && isOpen(candidate));
}

function narrower(a: string, b: string): readonly string[] {
  if (hostIsWithin(a, b)) return [a];
  return hostIsWithin(b, a) ? [b] : [];
}

/** Hosts of a server, ready for intersectHosts. */
export interface ServerHostIndex {
  readonly exact: ReadonlyMap<string, readonly ServerHost[]>;
  readonly wildcards: readonly ServerHost[];
}

export function indexServerHosts(hosts: readonly ServerHost[]): ServerHostIndex {
  const exact = new Map<string, ServerHost[]>();
  for (const entry of hosts) {
    if (isWildcardHost(entry.host)) continue;
    const known = exact.get(entry.host);
    if (known === undefined) exact.set(entry.host, [entry]);
    else known.push(entry);
  }
  return { exact, wildcards: hosts.filter(({ host }) => isWildcardHost(host)) };
}

/** Istio's order of host names in route configurations: exact before wildcards, longer before shorter, then by text. */
export function compareHostNames(a: string, b: string): number {
  const [wildA, wildB] = [isWildcardHost(a), isWildcardHost(b)];
  if (wildA !== wildB) return wildA ? 1 : -1;
  if (a.length !== b.length) return b.length - a.length;
  return compareText(a, b);
}

function parseServerHost(text: string, gatewayNamespace: string): ServerHost {
  const slash = text.indexOf("/");
  if (slash < 0) return { host: text, namespace: undefined };
  const namespace = text.slice(0, slash);
  const host = text.slice(slash + 1);
  if (namespace === ".") return { host, namespace: gatewayNamespace };
  return { host, namespace: namespace === "*" ? undefined : namespace };
}
