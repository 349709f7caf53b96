/** envoy.clusters.dynamic_forward_proxy: the host is whoever the request names. */

import { isIP } from "node:net";
import { unpackAs } from "@meltemi/protos";
import type { Cluster } from "@meltemi/protos/envoy/config/cluster/v3";
import type { Any } from "@meltemi/protos/google/protobuf";
import type { Timer } from "../../lib/clock.ts";
import { ConfigError, need, within } from "../../lib/config-error.ts";
import { compileDnsCache, type DnsCache, type DnsCachePlan, type DnsCaches } from "../dns/dns-cache.ts";
import type { ClusterHost } from "../hosts/cluster-host.ts";
import { type EndpointPlan, placeOf } from "../hosts/endpoint-plan.ts";
import type { LoadBalancerContext } from "../types.ts";
import type { Discovery, DiscoveryParts } from "./discovery.ts";
import { assignmentOf, planOf } from "./original-dst-discovery.ts";

const clusterType = "envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig";
const dynamicHostKey = "envoy.upstream.dynamic_host";
const dynamicPortKey = "envoy.upstream.dynamic_port";
const httpOptionsKey = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

export function compileDynamicForwardProxy(
  cluster: Cluster,
  any: Any,
  caches: DnsCaches,
): (parts: DiscoveryParts) => Discovery {
  const wire = unpackAs(clusterType, any) ?? {};
  if (wire.sub_clusters_config !== undefined) throw new ConfigError("sub_clusters_config", "is not supported");
  if (wire.allow_coalesced_connections) throw new ConfigError("allow_coalesced_connections", "is not supported");
  const config = need("dns_cache_config", wire.dns_cache_config);
  within("dns_cache_config", () => compileDnsCache(config));
  if (cluster.lb_policy !== "CLUSTER_PROVIDED" && cluster.load_balancing_policy === undefined) {
    throw new ConfigError("lb_policy", "must be CLUSTER_PROVIDED for a dynamic forward proxy");
  }
  if (!wire.allow_insecure_cluster_options) checkSecureOptions(cluster);
  const defaultPort = cluster.transport_socket?.typed_config?.type_url?.endsWith("UpstreamTlsContext") ? 443 : 80;
  return (parts) => new DynamicForwardProxy({ plan: compileDnsCache(config, parts.dns), defaultPort, caches }, parts);
}

/** The names that requests say must be those that certificates are held against, as far as a cluster says anything of it. */
function checkSecureOptions(cluster: Cluster): void {
  const any = cluster.typed_extension_protocol_options?.[httpOptionsKey];
  const options = any && unpackAs(httpOptionsKey, any)?.upstream_http_protocol_options;
  if (options !== undefined && (!options.auto_sni || !options.auto_san_validation)) {
    throw new ConfigError(
      "cluster_type",
      "dynamic_forward_proxy cluster must have auto_sni and auto_san_validation true unless allow_insecure_cluster_options is set.",
    );
  }
}

interface ProxyConfig {
  readonly plan: DnsCachePlan;
  readonly defaultPort: number;
  readonly caches: DnsCaches;
}

class DynamicForwardProxy implements Discovery {
  readonly ready = Promise.resolve();
  readonly dropOverloads = [];
  readonly #config: ProxyConfig;
  readonly #parts: DiscoveryParts;
  readonly #cache: DnsCache;
  readonly #closeCache: () => void;
  readonly #timer: Timer;
  /** By name and address. */
  readonly #plans = new Map<string, { readonly plan: EndpointPlan; usedAt: number }>();

  constructor(config: ProxyConfig, parts: DiscoveryParts) {
    this.#config = config;
    this.#parts = parts;
    const shared = config.caches.open(config.plan);
    this.#cache = shared.cache;
    this.#closeCache = shared.close;
    this.#timer = parts.clock.every(config.plan.hostTtlMs, () => this.#clean());
  }

  choose(context: LoadBalancerContext): ClusterHost | undefined | Promise<ClusterHost | undefined> {
    const wanted = this.#findName(context);
    if (wanted === undefined) return undefined;
    const { name, port } = wanted;
    if (isIP(name) !== 0) return this.#findHost(name, port, name);
    const resolved = this.#cache.resolve(name);
    if (typeof resolved === "string") return this.#findHost(resolved, port, name);
    return resolved.then((ip) => this.#findHost(ip, port, name));
  }

  resolve(context: LoadBalancerContext): Promise<unknown> | undefined {
    const name = this.#findName(context)?.name;
    if (name === undefined || isIP(name) !== 0) return undefined;
    const resolved = this.#cache.resolve(name);
    return typeof resolved === "string" ? undefined : resolved;
  }

  close(): void {
    this.#timer.close();
    this.#closeCache();
  }

  #findName({ authority, downstream }: LoadBalancerContext): { name: string; port: number } | undefined {
    const state = downstream?.info;
    const named = state?.findFilterState(dynamicHostKey)?.text;
    const text = named ?? (authority || downstream?.sni);
    if (text === undefined || text === "") return undefined;
    const [, bracketed, plain = "", portText] = /^(?:\[([^\]]+)\]|([^:]*))(?::(\d+))?$/.exec(text) ?? [];
    const name = (bracketed ?? plain).toLowerCase();
    if (name === "") return undefined;
    const statePort = state?.findFilterState(dynamicPortKey)?.text;
    return { name, port: Number(statePort ?? portText ?? this.#config.defaultPort) };
  }

  #findHost(ip: string, port: number, name: string): ClusterHost | undefined {
    const { members, clock } = this.#parts;
    const place = placeOf(ip, port);
    const key = `${name} ${place.address}`;
    const known = this.#plans.get(key);
    if (known === undefined) {
      this.#plans.set(key, { plan: { ...planOf(place, name), key }, usedAt: clock.monotonic() });
      members.update(assignmentOf([...this.#plans.values()].map(({ plan }) => plan)));
    } else known.usedAt = clock.monotonic();
    return members.find(key);
  }

  #clean(): void {
    const { members, clock } = this.#parts;
    const before = clock.monotonic() - this.#config.plan.hostTtlMs;
    const sizeBefore = this.#plans.size;
    for (const [key, { usedAt }] of this.#plans) {
      if (usedAt <= before && (members.find(key)?.activeRequests ?? 0) === 0) this.#plans.delete(key);
    }
    if (this.#plans.size < sizeBefore) {
      members.update(assignmentOf([...this.#plans.values()].map(({ plan }) => plan)));
    }
  }
}
