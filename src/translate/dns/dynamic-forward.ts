/**
 * Forwarding to whatever host a request or a handshake names: clusters, and the filters that look names up for them.
 * Both say the same cache, for Envoy tells caches by their name and refuses one name with two settings (Istio:
 * networking/core buildDFPCluster, networkfilter.go; rows C5, C39, C60, C155).
 */
import { packAny, u32 } from "@meltemi/protos";
import type { Cluster } from "@meltemi/protos/envoy/config/cluster/v3";
import type { Filter } from "@meltemi/protos/envoy/config/listener/v3";
import type { DnsCacheConfig } from "@meltemi/protos/envoy/extensions/common/dynamic_forward_proxy/v3";
import type { HttpFilter } from "@meltemi/protos/envoy/extensions/filters/network/http_connection_manager/v3";
import { joinHostPort } from "../../lib/host-port.ts";
import { isWildcardHost } from "../../lib/hostname.ts";
import type { Features } from "../../model/features.ts";
import type { Service } from "../../model/service.ts";
import { hasExtension } from "../capabilities.ts";
import type { ScopeKey, ScopeView } from "../scope.ts";

/** The names of Envoy's factories, for capabilities. */
export const forwardProxyCluster = "envoy.clusters.dynamic_forward_proxy";
export const forwardProxyFilter = "envoy.filters.http.dynamic_forward_proxy";
export const sniForwardProxyFilter = "envoy.filters.network.sni_dynamic_forward_proxy";
const caresResolver = "envoy.network.dns_resolver.cares";

const cacheOfUnknownHosts = "allow_any_dfp_dns_cache";
/** Where Istio's agent answers DNS unless a proxy says otherwise. */
const agentAddress = { address: "127.0.0.1", port: 15053 };
const statedAddress = /^(?:\[([^\]]*)\]|([^:[\]]*)):([^:]*)$/;

export type LookupFamily = "V4_ONLY" | "V6_ONLY" | "ALL";

/** Families of addresses that a proxy looks up (Istio: util.SelectDNSLookupFamily). */
export function selectLookupFamily(
  { ipFamilies: { v4, v6 } }: Pick<ScopeKey, "ipFamilies">,
  features: Features,
): LookupFamily {
  if (v6 && !v4) return features.ipv4OutboundListener ? "ALL" : "V6_ONLY";
  return v4 && v6 && features.dualStack ? "ALL" : "V4_ONLY";
}

/** True for services of which each request or handshake says the host. */
export function forwardsDynamically({ resolution, hostname }: Pick<Service, "resolution" | "hostname">): boolean {
  return resolution === "dynamicDns" && isWildcardHost(hostname);
}

/** The cache of a service's names. */
export function buildServiceCache({ hostname }: Service, family: LookupFamily): DnsCacheConfig {
  return { name: `${hostname}_dfp_dns_cache`, dns_lookup_family: family };
}

/** The cache of hosts that no service has: under the policy ALLOW_ANY_DYNAMIC_DNS, undefined under others. */
export function findUnknownHostCache({ outboundTrafficPolicy, key, snapshot }: ScopeView): DnsCacheConfig | undefined {
  if (outboundTrafficPolicy !== "ALLOW_ANY_DYNAMIC_DNS") return undefined;
  const { features } = snapshot;
  return {
    name: cacheOfUnknownHosts,
    max_hosts: u32(features.dynamicDnsMaxHosts),
    dns_lookup_family: selectLookupFamily(key, features),
    ...(key.dnsCapture && hasExtension(key.capabilities, caresResolver) ? buildResolver(key.dnsProxyAddress) : {}),
  };
}

/** True for the cache of hosts that no service has. */
export function isForUnknownHosts({ name }: DnsCacheConfig): boolean {
  return name === cacheOfUnknownHosts;
}

/** Discovery of a cluster whose hosts come from a cache. `isInsecure`: names of servers need not be checked. */
export function buildForwardDiscovery(cache: DnsCacheConfig, isInsecure: boolean): Pick<Cluster, "cluster_type"> {
  const typed_config = packAny("envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig", {
    dns_cache_config: cache,
    ...(isInsecure ? { allow_insecure_cluster_options: true } : {}),
  });
  return { cluster_type: { name: forwardProxyCluster, typed_config } };
}

/** Looks up the host of each request that goes to a cluster of this kind. */
export function buildForwardFilter(cache: DnsCacheConfig): HttpFilter {
  return {
    name: forwardProxyFilter,
    typed_config: packAny("envoy.extensions.filters.http.dynamic_forward_proxy.v3.FilterConfig", {
      dns_cache_config: cache,
    }),
  };
}

/** Looks up the server name of each handshake; `port` is where connections to it go. */
export function buildSniForwardFilter(cache: DnsCacheConfig, port: number): Filter {
  return {
    name: "envoy.extensions.filters.network.sni_dynamic_forward_proxy",
    typed_config: packAny("envoy.extensions.filters.network.sni_dynamic_forward_proxy.v3.FilterConfig", {
      dns_cache_config: cache,
      port_value: port,
    }),
  };
}

/** The agent knows names that no other server does: those of the mesh. */
function buildResolver(stated: string | undefined): Pick<DnsCacheConfig, "typed_dns_resolver_config"> {
  const { address, port } = parseAgentAddress(stated);
  return {
    typed_dns_resolver_config: {
      name: caresResolver,
      typed_config: packAny("envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig", {
        resolvers: [{ socket_address: { address, port_value: port } }],
      }),
    },
  };
}

/**
 * What metadata DNS_PROXY_ADDR says that differs from the usual address, as "host:port"; undefined where nothing does.
 * Text that is none counts as not said.
 */
export function readAgentAddress(metadata: unknown): string | undefined {
  if (typeof metadata !== "string") return undefined;
  const { address, port } = parseAgentAddress(metadata);
  const isUsual = address === agentAddress.address && port === agentAddress.port;
  return isUsual ? undefined : joinHostPort(address, port);
}

function parseAgentAddress(text = ""): { readonly address: string; readonly port: number } {
  const [, bracketed, plain = "", digits = ""] = statedAddress.exec(text) ?? [];
  const host = bracketed ?? plain;
  if (host === "") return agentAddress;
  const port = /^\d{1,5}$/.test(digits) && Number(digits) < 65_536 ? Number(digits) : agentAddress.port;
  return { address: host === "localhost" ? agentAddress.address : host, port };
}
