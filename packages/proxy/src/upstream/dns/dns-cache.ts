/** Names that requests ask for, resolved when first needed and kept as long as they are: Envoy's DNS cache. */

import { duration, durationToMs } from "@meltemi/protos";
import type { Cluster_DnsLookupFamily } from "@meltemi/protos/envoy/config/cluster/v3";
import type { DnsCacheConfig } from "@meltemi/protos/envoy/extensions/common/dynamic_forward_proxy/v3";
import type { Clock, Timer } from "../../lib/clock.ts";
import { ConfigError, need } from "../../lib/config-error.ts";
import type { Stats } from "../../lib/stats.ts";
import { wrappedNumber } from "../../lib/wrapped.ts";
import { UpstreamError } from "../types.ts";
import { compileDnsResolver, compileDnsTimes, type DnsResolverPlan, type DnsTimes } from "./dns-config.ts";
import { createDnsResolver, type DnsResolver, type ResolvedAddress } from "./dns-resolver.ts";
import { ResolveLoop } from "./resolve-loop.ts";

export interface DnsCachePlan {
  readonly name: string;
  readonly family: Cluster_DnsLookupFamily;
  readonly times: DnsTimes;
  readonly resolver: DnsResolverPlan;
  readonly hostTtlMs: number;
  readonly maxHosts: number;
  readonly maxPending: number;
  readonly queryTimeoutMs: number;
}

export interface DnsCacheEnv {
  readonly clock: Clock;
  readonly random: () => number;
  readonly stats: Stats;
}

/** Throws ConfigError. */
export function compileDnsCache(wire: DnsCacheConfig, bootstrap?: DnsResolverPlan): DnsCachePlan {
  if ((wire.preresolve_hostnames ?? []).length > 0) throw new ConfigError("preresolve_hostnames", "is not supported");
  if (wire.key_value_config !== undefined) throw new ConfigError("key_value_config", "is not supported");
  return {
    name: need("name", wire.name || undefined),
    family: wire.dns_lookup_family ?? "AUTO",
    times: compileDnsTimes(
      { ...wire, respect_dns_ttl: true, dns_min_refresh_rate: wire.dns_min_refresh_rate ?? duration(5000) },
      60_000,
    ),
    resolver: compileDnsResolver(wire, bootstrap),
    hostTtlMs: durationToMs(wire.host_ttl) ?? 300_000,
    maxHosts: wrappedNumber(wire.max_hosts, 1024),
    maxPending: wrappedNumber(wire.dns_cache_circuit_breaker?.max_pending_requests, 1024),
    queryTimeoutMs: durationToMs(wire.dns_query_timeout) ?? 5000,
  };
}

/** What is said until a first answer has come. */
const queryTimeoutText = "dns_cache_resolve_timeout";
/** Names without records and names that do not exist: the resolver does not tell them apart. */
const noRecordsText = "cares_norecords:Domain name not found";
/** Texts of c-ares for node's codes. */
const failureTexts: Readonly<Record<string, string>> = {
  ECONNREFUSED: "Could not contact DNS servers",
  EFORMERR: "DNS server claims query was misformatted",
  EREFUSED: "DNS server refused query",
  ESERVFAIL: "DNS server returned general failure",
  ETIMEOUT: "Timeout while contacting DNS servers",
};

function describeFailure(cause: unknown): string {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  return `cares_failure:${failureTexts[code] ?? code}`;
}

interface Entry {
  readonly loop: ResolveLoop;
  addresses: readonly string[];
  /** Why there is no address, as Envoy says it in response code details. */
  failure: string;
  usedAt: number;
}

export class DnsCache {
  readonly #plan: DnsCachePlan;
  readonly #env: DnsCacheEnv;
  readonly #stats: Stats;
  readonly #resolver: DnsResolver;
  readonly #entries = new Map<string, Entry>();
  readonly #timer: Timer;
  #pending = 0;

  constructor(plan: DnsCachePlan, env: DnsCacheEnv) {
    this.#plan = plan;
    this.#env = env;
    this.#stats = env.stats.scope(`dns_cache.${plan.name}.`);
    this.#resolver = createDnsResolver(plan.resolver);
    this.#timer = env.clock.every(plan.hostTtlMs, () => this.#clean());
  }

  /** The first address of a name, at once where it is known. Rejects with UpstreamError. */
  resolve(name: string): string | Promise<string> {
    const known = this.#entries.get(name);
    if (known !== undefined) {
      known.usedAt = this.#env.clock.monotonic();
      const [first] = known.addresses;
      if (first !== undefined) return first;
      return this.#wait(known);
    }
    if (this.#entries.size >= this.#plan.maxHosts) {
      this.#stats.counter("host_overflow").inc();
      throw new UpstreamError("overflow", { cause: "DNS cache overflow" });
    }
    const entry = this.#open(name);
    return this.#wait(entry);
  }

  close(): void {
    this.#timer.close();
    for (const { loop } of this.#entries.values()) loop.close();
    this.#entries.clear();
    this.#resolver.close();
    this.#stats.gauge("num_hosts").set(0);
  }

  async #wait(entry: Entry): Promise<string> {
    if (this.#pending >= this.#plan.maxPending) {
      this.#stats.counter("dns_rq_pending_overflow").inc();
      throw new UpstreamError("overflow", { cause: "Dynamic forward proxy pending request overflow" });
    }
    this.#pending += 1;
    const timeout = Promise.withResolvers<void>();
    const timer = this.#env.clock.after(this.#plan.queryTimeoutMs, () => {
      this.#stats.counter("dns_query_timeout").inc();
      timeout.resolve();
    });
    try {
      await Promise.race([entry.loop.ready, timeout.promise]);
    } finally {
      timer.close();
      this.#pending -= 1;
    }
    const [first] = entry.addresses;
    if (first === undefined) throw new UpstreamError("dns-failure", { cause: entry.failure });
    return first;
  }

  #open(name: string): Entry {
    const { clock, random } = this.#env;
    const loop = new ResolveLoop({
      name,
      family: this.#plan.family,
      resolver: this.#resolver,
      times: this.#plan.times,
      clock,
      random,
      onAsk: () => this.#stats.counter("dns_query_attempt").inc(),
      onAnswer: (resolved) => this.#onAnswer(name, resolved),
      onFailure: (cause) => {
        this.#stats.counter("dns_query_failure").inc();
        entry.failure = describeFailure(cause);
      },
    });
    const entry: Entry = { loop, addresses: [], failure: queryTimeoutText, usedAt: clock.monotonic() };
    this.#entries.set(name, entry);
    this.#stats.counter("host_added").inc();
    this.#stats.gauge("num_hosts").set(this.#entries.size);
    return entry;
  }

  #onAnswer(name: string, resolved: readonly ResolvedAddress[]): void {
    this.#stats.counter("dns_query_success").inc();
    const entry = this.#entries.get(name);
    if (entry === undefined) return;
    entry.failure = noRecordsText;
    if (resolved.length === 0) return;
    const addresses = resolved.map(({ ip }) => ip);
    if (addresses[0] !== entry.addresses[0]) this.#stats.counter("host_address_changed").inc();
    entry.addresses = addresses;
  }

  #clean(): void {
    const before = this.#env.clock.monotonic() - this.#plan.hostTtlMs;
    for (const [name, { loop, usedAt }] of this.#entries) {
      if (usedAt > before) continue;
      loop.close();
      this.#entries.delete(name);
      this.#stats.counter("host_removed").inc();
    }
    this.#stats.gauge("num_hosts").set(this.#entries.size);
  }
}

/** Caches by their names: clusters that name the same share it. */
export class DnsCaches {
  readonly #env: DnsCacheEnv;
  readonly #caches = new Map<string, { readonly cache: DnsCache; users: number }>();

  constructor(env: DnsCacheEnv) {
    this.#env = env;
  }

  open(plan: DnsCachePlan): { readonly cache: DnsCache; close(): void } {
    let shared = this.#caches.get(plan.name);
    if (shared === undefined) {
      shared = { cache: new DnsCache(plan, this.#env), users: 0 };
      this.#caches.set(plan.name, shared);
    }
    const found = shared;
    found.users += 1;
    let isOpen = true;
    return {
      cache: found.cache,
      close: () => {
        if (!isOpen) return;
        isOpen = false;
        found.users -= 1;
        if (found.users > 0) return;
        found.cache.close();
        this.#caches.delete(plan.name);
      },
    };
  }
}
