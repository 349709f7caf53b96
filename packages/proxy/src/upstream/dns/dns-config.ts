/** Which DNS servers to ask and how, from a cluster, a cache of names, or the bootstrap. */

import { durationToMs, typeNameOf, unpackAs } from "@meltemi/protos";
import type { Cluster_RefreshRate } from "@meltemi/protos/envoy/config/cluster/v3";
import type {
  Address,
  DnsResolutionConfig,
  DnsResolverOptions,
  TypedExtensionConfig,
} from "@meltemi/protos/envoy/config/core/v3";
import type { Duration } from "@meltemi/protos/google/protobuf";
import { ConfigError, compileAll, need, within } from "../../lib/config-error.ts";

export interface DnsResolverPlan {
  /** "servers": DNS itself; "system": getaddrinfo. */
  readonly kind: "servers" | "system";
  /** "IP:PORT"; none for the system's. */
  readonly servers: readonly string[];
  /** The servers are asked only where the system's fail. */
  readonly isFallback: boolean;
  readonly isWithoutSearch: boolean;
  readonly filtersUnroutable: boolean;
}

/** Fields that name resolvers, wherever they are; the newest wins. */
export interface DnsResolverWire {
  readonly typed_dns_resolver_config?: TypedExtensionConfig | undefined;
  readonly dns_resolution_config?: DnsResolutionConfig | undefined;
  readonly dns_resolvers?: readonly Address[] | undefined;
  readonly use_tcp_for_dns_lookups?: boolean | undefined;
}

export const defaultDnsPlan: DnsResolverPlan = {
  kind: "servers",
  servers: [],
  isFallback: false,
  isWithoutSearch: false,
  filtersUnroutable: false,
};

const caresType = "envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig";
const systemType = "envoy.extensions.network.dns_resolver.getaddrinfo.v3.GetAddrInfoDnsResolverConfig";

/** `otherwise` where nothing is said: that of the bootstrap. Throws ConfigError. */
export function compileDnsResolver(
  wire: DnsResolverWire,
  otherwise: DnsResolverPlan = defaultDnsPlan,
): DnsResolverPlan {
  const { typed_dns_resolver_config: typed, dns_resolution_config: resolution, dns_resolvers: addresses } = wire;
  if (wire.use_tcp_for_dns_lookups) throw new ConfigError("use_tcp_for_dns_lookups", "DNS over TCP is not supported");
  if (typed !== undefined) return within("typed_dns_resolver_config", () => compileTyped(typed));
  if (resolution !== undefined) {
    return within("dns_resolution_config", () => ({
      ...defaultDnsPlan,
      servers: compileServers("resolvers", resolution.resolvers),
      ...compileOptions(resolution.dns_resolver_options),
    }));
  }
  if ((addresses ?? []).length > 0) return { ...defaultDnsPlan, servers: compileServers("dns_resolvers", addresses) };
  return otherwise;
}

function compileTyped({ name = "", typed_config: any }: TypedExtensionConfig): DnsResolverPlan {
  const config = need("typed_config", any);
  const type = typeNameOf(config.type_url ?? "");
  if (type === systemType) return { ...defaultDnsPlan, kind: "system" };
  if (type !== caresType) throw new ConfigError("typed_config", `${name} (${type}) is not supported`);
  // udp_max_queries bounds the use of one socket, which changes no answer.
  const wire = unpackAs(caresType, config) ?? {};
  return within("typed_config", () => ({
    ...defaultDnsPlan,
    servers: compileServers("resolvers", wire.resolvers),
    isFallback: wire.use_resolvers_as_fallback ?? false,
    filtersUnroutable: wire.filter_unroutable_families ?? false,
    ...compileOptions(wire.dns_resolver_options),
  }));
}

function compileOptions(wire: DnsResolverOptions | undefined): Pick<DnsResolverPlan, "isWithoutSearch"> {
  if (wire?.use_tcp_for_dns_lookups) {
    throw new ConfigError("dns_resolver_options.use_tcp_for_dns_lookups", "DNS over TCP is not supported");
  }
  return { isWithoutSearch: wire?.no_default_search_domain ?? false };
}

function compileServers(path: string, wire: readonly Address[] | undefined): readonly string[] {
  return compileAll(path, wire, ({ socket_address }) => {
    const { address = "", port_value: port = 0 } = need("socket_address", socket_address);
    return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
  });
}

/** When a name is asked for again. Milliseconds. */
export interface DnsTimes {
  readonly refreshMs: number;
  readonly minRefreshMs: number;
  readonly jitterMs: number;
  readonly respectsTtl: boolean;
  /** Undefined: as after an answer. */
  readonly failure: { readonly baseMs: number; readonly maxMs: number } | undefined;
}

export interface DnsTimesWire {
  readonly dns_refresh_rate?: Duration | undefined;
  readonly dns_jitter?: Duration | undefined;
  readonly respect_dns_ttl?: boolean | undefined;
  readonly dns_failure_refresh_rate?: Cluster_RefreshRate | undefined;
  readonly dns_min_refresh_rate?: Duration | undefined;
}

export function compileDnsTimes(wire: DnsTimesWire, defaultRefreshMs: number): DnsTimes {
  const refreshMs = durationToMs(wire.dns_refresh_rate) ?? defaultRefreshMs;
  if (refreshMs < 1) throw new ConfigError("dns_refresh_rate", "must be at least 1 ms");
  return {
    refreshMs,
    minRefreshMs: durationToMs(wire.dns_min_refresh_rate) ?? 0,
    jitterMs: durationToMs(wire.dns_jitter) ?? 0,
    respectsTtl: wire.respect_dns_ttl ?? false,
    failure: compileFailure(wire.dns_failure_refresh_rate),
  };
}

function compileFailure(wire: Cluster_RefreshRate | undefined): DnsTimes["failure"] {
  if (wire === undefined) return undefined;
  const baseMs = durationToMs(need("dns_failure_refresh_rate.base_interval", wire.base_interval));
  const maxMs = durationToMs(wire.max_interval) ?? 10 * baseMs;
  if (maxMs < baseMs) {
    throw new ConfigError(
      "dns_failure_refresh_rate",
      "must have max_interval greater than or equal to the base_interval",
    );
  }
  return { baseMs, maxMs };
}
