/**
 * What a proxy can take. Envoy lists the factories it was built with in node.extensions; a proxy that lists them never
 * gets one that is not among them. Istio's own filters go only to proxies that list them, or that list nothing and
 * claim a version of Istio (docs/differences.md).
 */
import type { Capabilities } from "./scope.ts";

/** Istio's own filters: no stock Envoy has them. */
const istioPrefix = "istio.";

// A filter's name on the wire is a label; Envoy finds the factory by the type of the configuration, and what it lists is
// the name of the factory. Where the two differ (Istio's proxy, source/extensions), any of these names will do.
const factoryNames: ReadonlyMap<string, readonly string[]> = new Map([
  ["istio.stats", ["envoy.filters.http.istio_stats", "envoy.filters.network.istio_stats"]],
  ["istio.alpn", ["envoy.filters.http.alpn"]],
  [
    "istio.metadata_exchange",
    [
      "envoy.filters.network.metadata_exchange",
      "envoy.filters.network.upstream.metadata_exchange",
      "envoy.filters.http.peer_metadata",
    ],
  ],
]);

/**
 * True where the proxy has the extension that goes by this name on the wire, such as "istio.alpn",
 * "envoy.filters.http.cors" or "envoy.retry_host_predicates.previous_hosts".
 */
export function hasExtension(capabilities: Capabilities, name: string): boolean {
  const { extensions } = capabilities;
  if (extensions === undefined) return !name.startsWith(istioPrefix) || capabilities.istioVersion !== undefined;
  if (extensions.has(name)) return true;
  return factoryNames.get(name)?.some((factory) => extensions.has(factory)) ?? false;
}
