/**
 * Host names as Istio's API uses them: exact ("reviews.bookinfo.svc.cluster.local"), wildcard ("*.example.com") or "*".
 * Rules: istio.io/docs/reference/config/networking/virtual-service (hosts) and pkg/config/host of Istio.
 */
import { compareText } from "./text-order.ts";

export function isWildcardHost(host: string): boolean {
  return host.startsWith("*");
}

/** True where the two host patterns have a name in common: "*.com" and "a.com", "*.a.com" and "*.com". */
export function hostsOverlap(a: string, b: string): boolean {
  if (isWildcardHost(a) && isWildcardHost(b)) {
    const [tailA, tailB] = [a.slice(1), b.slice(1)];
    return tailA.endsWith(tailB) || tailB.endsWith(tailA);
  }
  return hostIsWithin(a, b) || hostIsWithin(b, a);
}

/**
 * True where every name that `host` stands for is also in `pattern`: ("a.com", "*.com"), ("*.a.com", "*.com"), and as in
 * Istio (pkg/config/host SubsetOf) also where nothing stands for the star: ("a.com", "*a.com").
 */
export function hostIsWithin(host: string, pattern: string): boolean {
  if (!isWildcardHost(pattern)) return host === pattern;
  if (pattern === "*") return true;
  const tail = pattern.slice(1);
  return (isWildcardHost(host) ? host.slice(1) : host).endsWith(tail);
}

/**
 * Orders host patterns from the most specific to the least: exact names before wildcards, longer wildcards before
 * shorter, otherwise by text; Istio looks up rules for a host in this order.
 */
export function compareHostSpecificity(a: string, b: string): number {
  const [wildA, wildB] = [isWildcardHost(a), isWildcardHost(b)];
  if (wildA !== wildB) return wildA ? 1 : -1;
  if (wildA && a.length !== b.length) return b.length - a.length;
  return compareText(a, b);
}

/**
 * The full name of a host in a rule: a name without a dot (and not "*") is a service of the rule's own namespace.
 * Istio's rule for short names, e.g. "reviews" in namespace "bookinfo" is "reviews.bookinfo.svc.cluster.local".
 */
export function resolveShortHost(host: string, namespace: string, domain: string): string {
  // An IPv6 address has no dot either.
  if (host.includes(".") || host.includes(":") || host === "*" || host === "") return host;
  return `${host}.${namespace}.svc.${domain}`;
}
