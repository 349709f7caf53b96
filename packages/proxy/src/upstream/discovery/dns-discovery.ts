/** STRICT_DNS and LOGICAL_DNS: hosts by names that are resolved again and again. */
import { isIP } from "node:net";
import type { Cluster_DnsLookupFamily } from "@meltemi/protos/envoy/config/cluster/v3";
import { ConfigError, within } from "../../lib/config-error.ts";
import {
  compileDnsResolver,
  compileDnsTimes,
  type DnsResolverWire,
  type DnsTimes,
  type DnsTimesWire,
} from "../dns/dns-config.ts";
import { createDnsResolver, type DnsResolver, type ResolvedAddress } from "../dns/dns-resolver.ts";
import { ResolveLoop } from "../dns/resolve-loop.ts";
import { type AssignmentPlan, compileAssignment, type EndpointPlan, placeOf } from "../hosts/endpoint-plan.ts";
import type { CompileDiscovery, Discovery, DiscoveryParts } from "./discovery.ts";

/** "all": every address is a host. "first": one host, at the first address. */
type DnsKind = "all" | "first";

const defaultRefreshMs = 5000;

export const compileStrictDns: CompileDiscovery = (cluster) => compileDns(cluster, "all");
export const compileLogicalDns: CompileDiscovery = (cluster) => compileDns(cluster, "first");

type DnsClusterWire = Parameters<CompileDiscovery>[0];

function compileDns(cluster: DnsClusterWire, kind: DnsKind): ReturnType<CompileDiscovery> {
  const plan = within("load_assignment", () => compileAssignment(cluster.load_assignment ?? {}, "allowed"));
  const times = compileDnsTimes(cluster satisfies DnsTimesWire, defaultRefreshMs);
  compileDnsResolver(cluster satisfies DnsResolverWire);
  if (kind === "first") checkLogical(plan);
  const family = cluster.dns_lookup_family ?? "AUTO";
  return (parts) => new DnsDiscovery({ plan, times, family, kind }, parts);
}

function checkLogical({ localities }: AssignmentPlan): void {
  if (localities.length !== 1 || localities[0]?.endpoints.length !== 1) {
    throw new ConfigError(
      "load_assignment",
      "LOGICAL_DNS clusters must have a single locality_lb_endpoint and a single lb_endpoint",
    );
  }
}

interface DnsDiscoveryConfig {
  readonly plan: AssignmentPlan;
  readonly times: DnsTimes;
  readonly family: Cluster_DnsLookupFamily;
  readonly kind: DnsKind;
}

class DnsDiscovery implements Discovery {
  readonly ready: Promise<void>;
  readonly #config: DnsDiscoveryConfig;
  readonly #parts: DiscoveryParts;
  readonly #resolver: DnsResolver;
  readonly #loops: readonly ResolveLoop[];
  /** By name: what was resolved last. */
  readonly #addresses = new Map<string, readonly string[]>();

  constructor(config: DnsDiscoveryConfig, parts: DiscoveryParts) {
    this.#config = config;
    this.#parts = parts;
    this.#resolver = createDnsResolver(compileDnsResolver(parts.cluster, parts.dns));
    const names = new Set(config.plan.localities.flatMap(({ endpoints }) => endpoints.flatMap(nameOf)));
    this.#loops = [...names].map((name) => this.#startLoop(name));
    this.#update();
    this.ready = Promise.all(this.#loops.map((loop) => loop.ready)).then(() => undefined);
  }

  get dropOverloads(): AssignmentPlan["dropOverloads"] {
    return this.#config.plan.dropOverloads;
  }

  close(): void {
    for (const loop of this.#loops) loop.close();
    this.#resolver.close();
  }

  #startLoop(name: string): ResolveLoop {
    const { clock, random, stats, log } = this.#parts;
    return new ResolveLoop({
      name,
      family: this.#config.family,
      resolver: this.#resolver,
      times: this.#config.times,
      clock,
      random,
      onAsk: () => stats.counter("update_attempt").inc(),
      onAnswer: (addresses) => {
        stats.counter("update_success").inc();
        this.#onAnswer(name, addresses);
      },
      onFailure: (cause) => {
        stats.counter("update_failure").inc();
        log.debug("a name could not be resolved", { name, cause: String(cause) });
      },
    });
  }

  #onAnswer(name: string, resolved: readonly ResolvedAddress[]): void {
    // The one host of LOGICAL_DNS keeps its address where the name has none any more.
    if (resolved.length === 0 && this.#config.kind === "first") return;
    const all = [...new Set(resolved.map(({ ip }) => ip))];
    const addresses = this.#config.kind === "first" ? all.slice(0, 1) : all;
    const known = this.#addresses.get(name);
    if (known !== undefined && known.length === addresses.length && addresses.every((ip) => known.includes(ip))) {
      this.#parts.stats.counter("update_no_rebuild").inc();
      return;
    }
    this.#addresses.set(name, addresses);
    this.#update();
  }

  #update(): void {
    const { plan } = this.#config;
    this.#parts.members.update({
      ...plan,
      localities: plan.localities.map((locality) => ({
        ...locality,
        endpoints: locality.endpoints.flatMap((endpoint) => this.#resolve(endpoint)),
      })),
    });
  }

  #resolve(endpoint: EndpointPlan): readonly EndpointPlan[] {
    const [name] = nameOf(endpoint);
    if (name === undefined) return [endpoint];
    return (this.#addresses.get(name) ?? []).map((ip) => ({
      ...endpoint,
      ...placeOf(ip, endpoint.port),
      hostname: endpoint.hostname === "" ? name : endpoint.hostname,
    }));
  }
}

/** The name to resolve; none for an address. */
function nameOf({ ip }: EndpointPlan): readonly string[] {
  return isIP(ip) !== 0 || ip.startsWith("/") ? [] : [ip];
}
