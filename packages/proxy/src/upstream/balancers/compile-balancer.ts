/** The policy that a cluster balances with, from its older fields or from load_balancing_policy. */

import { typeNameOf, unpackAs } from "@meltemi/protos";
import type {
  Cluster,
  Cluster_SlowStartConfig,
  LoadBalancingPolicy,
  LoadBalancingPolicy_Policy,
} from "@meltemi/protos/envoy/config/cluster/v3";
import type { Any } from "@meltemi/protos/google/protobuf";
import type { Runtime } from "../../config/runtime.ts";
import { ConfigError, within } from "../../lib/config-error.ts";
import { wrappedNumber } from "../../lib/wrapped.ts";
import type { BalancerEnv, CreateBalancer } from "./balancer.ts";
import { hashBalancer } from "./hash-balancer.ts";
import { buildHashRing } from "./hash-ring.ts";
import { compileLocalityConfig, type LocalityConfig, type LocalityWire } from "./locality-config.ts";
import { buildMaglevTable, checkTableSize, defaultTableSize } from "./maglev-table.ts";
import { type CreatePicker, leastRequestPicker, randomPicker, roundRobinPicker } from "./pickers.ts";
import { type CreateSlowStart, compileSlowStart } from "./slow-start.ts";
import { subsetBalancer } from "./subset-balancer.ts";
import { compileSubsetConfig } from "./subset-config.ts";
import { zoneBalancer } from "./zone-balancer.ts";

export interface BalancerPlan {
  /** "provided": the cluster's type chooses, as ORIGINAL_DST does. */
  readonly create: CreateBalancer | "provided";
}

type PanicThreshold = (env: BalancerEnv) => number;

const defaultRingSize = 1024;
const maxRingSize = 8 * 1024 * 1024;

/** ConfigError where the policy is not known or makes no sense. */
export function compileBalancer(cluster: Cluster): BalancerPlan {
  const panicThreshold: PanicThreshold = ({ runtime }) => panicThresholdOf(cluster, runtime);
  const isTyped = cluster.load_balancing_policy !== undefined || cluster.lb_policy === "LOAD_BALANCING_POLICY_CONFIG";
  if (isTyped) {
    return within("load_balancing_policy", () => ({
      create: compilePolicies(cluster.load_balancing_policy, { panicThreshold, isWeightedByLocality: false }),
    }));
  }
  const create = compileLegacy(cluster, panicThreshold);
  const subset = cluster.lb_subset_config;
  if (subset === undefined || (subset.subset_selectors ?? []).length === 0) return { create };
  if (create === "provided") throw new ConfigError("lb_subset_config", "cannot be used with CLUSTER_PROVIDED");
  return {
    create: subsetBalancer(
      within("lb_subset_config", () => compileSubsetConfig(subset)),
      create,
    ),
  };
}

/** Percent of healthy hosts below which all are used. */
export function panicThresholdOf({ common_lb_config: common }: Cluster, runtime: Runtime): number {
  const threshold = common?.healthy_panic_threshold;
  const percent = threshold === undefined ? 50 : Math.round(threshold.value ?? 0);
  return Math.min(100, runtime.number("upstream.healthy_panic_threshold", percent));
}

function compileLegacy(cluster: Cluster, panicThreshold: PanicThreshold): CreateBalancer | "provided" {
  const common = cluster.common_lb_config;
  const locality = compileLocalityConfig(common);
  const lists = { locality, panicThreshold };
  switch (cluster.lb_policy ?? "ROUND_ROBIN") {
    case "ROUND_ROBIN":
      return within("round_robin_lb_config", () => roundRobin(cluster.round_robin_lb_config?.slow_start_config, lists));
    case "LEAST_REQUEST":
      return within("least_request_lb_config", () => leastRequest(cluster.least_request_lb_config, lists));
    case "RANDOM":
      return zoneBalancer({ createPicker: randomPicker, ...lists });
    case "RING_HASH":
      return within("ring_hash_lb_config", () =>
        ringHash(cluster.ring_hash_lb_config, { ...hashing(common?.consistent_hashing_lb_config), ...lists }),
      );
    case "MAGLEV":
      return within("maglev_lb_config", () =>
        maglev(cluster.maglev_lb_config, { ...hashing(common?.consistent_hashing_lb_config), ...lists }),
      );
    case "CLUSTER_PROVIDED":
      return "provided";
    default:
      throw new ConfigError("lb_policy", `${cluster.lb_policy} is not supported`);
  }
}

interface ListOptions {
  readonly locality: LocalityConfig;
  readonly panicThreshold: PanicThreshold;
}

function roundRobin(slowStart: Cluster_SlowStartConfig | undefined, lists: ListOptions): CreateBalancer {
  return zoneBalancer({ createPicker: roundRobinPicker(compileSlowStart(slowStart)), ...lists });
}

function leastRequest(
  wire:
    | (Parameters<typeof leastRequestPicker>[0] & { slow_start_config?: Cluster_SlowStartConfig | undefined })
    | undefined,
  lists: ListOptions,
): CreateBalancer {
  const slowStart: CreateSlowStart | undefined = compileSlowStart(wire?.slow_start_config);
  const createPicker: CreatePicker = leastRequestPicker(wire, slowStart);
  return zoneBalancer({ createPicker, ...lists });
}

interface HashOptions extends ListOptions {
  readonly usesHostname: boolean;
  readonly balanceFactor: number;
}

interface HashingWire {
  readonly use_hostname_for_hashing?: boolean | undefined;
  readonly hash_balance_factor?: { readonly value?: number | undefined } | undefined;
}

function hashing(wire: HashingWire | undefined): Pick<HashOptions, "usesHostname" | "balanceFactor"> {
  const balanceFactor = wrappedNumber(wire?.hash_balance_factor, 0);
  if (balanceFactor !== 0 && balanceFactor < 100) {
    throw new ConfigError("consistent_hashing_lb_config.hash_balance_factor", "must be at least 100");
  }
  return { usesHostname: wire?.use_hostname_for_hashing ?? false, balanceFactor };
}

interface SizeWire {
  readonly value?: number | string | undefined;
}

interface RingWire {
  readonly hash_function?: string | undefined;
  readonly minimum_ring_size?: SizeWire | undefined;
  readonly maximum_ring_size?: SizeWire | undefined;
}

function ringHash(wire: RingWire | undefined, options: HashOptions): CreateBalancer {
  const minSize = wrappedNumber(wire?.minimum_ring_size, defaultRingSize);
  const maxSize = wrappedNumber(wire?.maximum_ring_size, maxRingSize);
  if (minSize > maxRingSize || maxSize > maxRingSize)
    throw new ConfigError("maximum_ring_size", `is above ${maxRingSize}`);
  if (minSize > maxSize) {
    throw new ConfigError("", `ring hash: minimum_ring_size (${minSize}) > maximum_ring_size (${maxSize})`);
  }
  const hashFunction = wire?.hash_function === "MURMUR_HASH_2" ? "MURMUR_HASH_2" : "XX_HASH";
  const ring = { hashFunction, minSize, maxSize, usesHostname: options.usesHostname } as const;
  return byHash((hosts, stats) => buildHashRing(hosts, stats, ring), options);
}

function maglev(
  wire: { readonly table_size?: SizeWire | undefined } | undefined,
  options: HashOptions,
): CreateBalancer {
  const tableSize = checkTableSize(wrappedNumber(wire?.table_size, defaultTableSize));
  const { usesHostname } = options;
  return byHash((hosts, stats) => buildMaglevTable(hosts, stats, { tableSize, usesHostname }), options);
}

function byHash(
  buildTable: Parameters<typeof hashBalancer>[0]["buildTable"],
  { locality, balanceFactor, panicThreshold }: HashOptions,
): CreateBalancer {
  return hashBalancer({ buildTable, balanceFactor, panicThreshold, isLocalityWeighted: locality.kind === "weighted" });
}

interface PolicyOptions {
  readonly panicThreshold: PanicThreshold;
  /** Below wrr_locality: localities are weighted whatever the policy says itself. */
  readonly isWeightedByLocality: boolean;
}

/** The first policy that is known (gRFC A52); what follows is for others. */
function compilePolicies(wire: LoadBalancingPolicy | undefined, options: PolicyOptions): CreateBalancer | "provided" {
  const policies = wire?.policies ?? [];
  for (const [index, policy] of policies.entries()) {
    const compiled = within(`policies[${index}].typed_extension_config`, () => compilePolicy(policy, options));
    if (compiled !== undefined) return compiled;
  }
  const names = policies.map(({ typed_extension_config: each }) => each?.name ?? "").join(", ");
  throw new ConfigError("policies", `Didn't find a registered load balancer factory for ${names || "no policy"}`);
}

const policyPrefix = "envoy.extensions.load_balancing_policies.";

function compilePolicy(
  { typed_extension_config: extension }: LoadBalancingPolicy_Policy,
  options: PolicyOptions,
): CreateBalancer | "provided" | undefined {
  const any = extension?.typed_config;
  if (any === undefined) return undefined;
  switch (typeNameOf(any.type_url ?? "")) {
    case `${policyPrefix}round_robin.v3.RoundRobin`: {
      const wire = unpackAs(`${policyPrefix}round_robin.v3.RoundRobin`, any);
      return roundRobin(wire?.slow_start_config, listOptions(wire?.locality_lb_config, options));
    }
    case `${policyPrefix}least_request.v3.LeastRequest`: {
      const wire = unpackAs(`${policyPrefix}least_request.v3.LeastRequest`, any);
      return leastRequest(wire, listOptions(wire?.locality_lb_config, options));
    }
    case `${policyPrefix}random.v3.Random`: {
      const wire = unpackAs(`${policyPrefix}random.v3.Random`, any);
      return zoneBalancer({ createPicker: randomPicker, ...listOptions(wire?.locality_lb_config, options) });
    }
    case `${policyPrefix}ring_hash.v3.RingHash`: {
      const wire = unpackAs(`${policyPrefix}ring_hash.v3.RingHash`, any);
      return ringHash(wire, { ...hashing(wire?.consistent_hashing_lb_config ?? wire), ...listOptions(wire, options) });
    }
    case `${policyPrefix}maglev.v3.Maglev`: {
      const wire = unpackAs(`${policyPrefix}maglev.v3.Maglev`, any);
      return maglev(wire, { ...hashing(wire?.consistent_hashing_lb_config), ...listOptions(wire, options) });
    }
    case `${policyPrefix}cluster_provided.v3.ClusterProvided`:
      return "provided";
    default:
      return compileOuterPolicy(any, options);
  }
}

/** Policies around others. */
function compileOuterPolicy(any: Any, options: PolicyOptions): CreateBalancer | "provided" | undefined {
  switch (typeNameOf(any.type_url ?? "")) {
    case `${policyPrefix}wrr_locality.v3.WrrLocality`: {
      const wire = unpackAs(`${policyPrefix}wrr_locality.v3.WrrLocality`, any);
      return within("endpoint_picking_policy", () =>
        compilePolicies(wire?.endpoint_picking_policy, { ...options, isWeightedByLocality: true }),
      );
    }
    case `${policyPrefix}subset.v3.Subset`: {
      const wire = unpackAs(`${policyPrefix}subset.v3.Subset`, any) ?? {};
      const inner = within("subset_lb_policy", () => compilePolicies(wire.subset_lb_policy, options));
      if (inner === "provided") throw new ConfigError("subset_lb_policy", "cannot be cluster_provided");
      return subsetBalancer(compileSubsetConfig(wire), inner);
    }
    case `${policyPrefix}client_side_weighted_round_robin.v3.ClientSideWeightedRoundRobin`:
      throw new ConfigError(
        "",
        "client_side_weighted_round_robin is not supported: load reports of hosts are not read",
      );
    default:
      // One that this proxy has not: the next in the list is taken.
      return undefined;
  }
}

function listOptions(
  wire: LocalityWire | undefined,
  { panicThreshold, isWeightedByLocality }: PolicyOptions,
): ListOptions {
  const locality: LocalityConfig = isWeightedByLocality ? { kind: "weighted" } : typedLocality(wire);
  return { locality, panicThreshold };
}

/** Typed policies know of localities only where they are told to. */
function typedLocality(wire: LocalityWire | undefined): LocalityConfig {
  if (wire?.zone_aware_lb_config === undefined && wire?.locality_weighted_lb_config === undefined)
    return { kind: "none" };
  return compileLocalityConfig(wire);
}
