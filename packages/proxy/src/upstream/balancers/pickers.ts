/** Policies that choose one of a list of hosts: round robin, least request and random. */
import type { Cluster_LeastRequestLbConfig } from "@meltemi/protos/envoy/config/cluster/v3";
import type { LeastRequest } from "@meltemi/protos/envoy/extensions/load_balancing_policies/least_request/v3";
import { ConfigError } from "../../lib/config-error.ts";
import { wrappedNumber } from "../../lib/wrapped.ts";
import type { ClusterHost } from "../hosts/cluster-host.ts";
import { type BalancerEnv, randomBelow } from "./balancer.ts";
import { EdfScheduler } from "./edf-scheduler.ts";
import type { CreateSlowStart, SlowStart } from "./slow-start.ts";

/** Chooses from a list; one that is not the list of the call before has changed. */
export interface HostPicker {
  pick(hosts: readonly ClusterHost[]): ClusterHost | undefined;
}

export type CreatePicker = (env: BalancerEnv) => HostPicker;

export const randomPicker: CreatePicker = ({ random }) => ({
  pick: (hosts) => hosts[randomBelow(random, hosts.length)],
});

export function roundRobinPicker(slowStart: CreateSlowStart | undefined): CreatePicker {
  return (env) => {
    const warming = slowStart?.(env);
    let turn = randomBelow(env.random, 1 << 16);
    const weightOf = (host: ClusterHost): number => host.weight * (warming?.factor(host) ?? 1);
    const pickEvenly = (hosts: readonly ClusterHost[]): ClusterHost | undefined => {
      turn += 1;
      return hosts[turn % hosts.length];
    };
    return weightedPicker({ env, warming, weightOf, pickEvenly });
  };
}

export type LeastRequestConfig = Omit<Cluster_LeastRequestLbConfig, "slow_start_config"> &
  Pick<LeastRequest, "enable_full_scan" | "selection_method">;

export function leastRequestPicker(
  wire: LeastRequestConfig | undefined,
  slowStart: CreateSlowStart | undefined,
): CreatePicker {
  const choices = wrappedNumber(wire?.choice_count, 2);
  if (choices < 2) throw new ConfigError("choice_count", "must be at least 2");
  const { default_value: biasDefault = 0, runtime_key: biasKey = "" } = wire?.active_request_bias ?? {
    default_value: 1,
  };
  if (biasDefault < 0) throw new ConfigError("active_request_bias", "must not be below 0");
  const isFullScan = wire?.selection_method === "FULL_SCAN" || wire?.enable_full_scan?.value === true;
  return (env) => {
    const { random, runtime } = env;
    const warming = slowStart?.(env);
    const bias = (): number => (biasKey === "" ? biasDefault : runtime.number(biasKey, biasDefault));
    const weightOf = (host: ClusterHost): number => {
      const power = bias();
      const busy = power === 0 ? 1 : (host.activeRequests + 1) ** power;
      return (host.weight / busy) * (warming?.factor(host) ?? 1);
    };
    const pickEvenly = (hosts: readonly ClusterHost[]): ClusterHost | undefined =>
      isFullScan ? scan(hosts, random) : sample(hosts, choices, random);
    return weightedPicker({ env, warming, weightOf, pickEvenly });
  };
}

/** The one with the fewest requests of some that are drawn, the same host perhaps twice. */
function sample(hosts: readonly ClusterHost[], choices: number, random: () => number): ClusterHost | undefined {
  let best = hosts[randomBelow(random, hosts.length)];
  for (let count = 1; count < choices && best !== undefined; count += 1) {
    const other = hosts[randomBelow(random, hosts.length)];
    if (other !== undefined && other.activeRequests < best.activeRequests) best = other;
  }
  return best;
}

/** One of all that have the fewest requests. */
function scan(hosts: readonly ClusterHost[], random: () => number): ClusterHost | undefined {
  let best: ClusterHost | undefined;
  let equals = 0;
  for (const host of hosts) {
    if (best === undefined || host.activeRequests < best.activeRequests) {
      best = host;
      equals = 1;
    } else if (host.activeRequests === best.activeRequests) {
      equals += 1;
      if (randomBelow(random, equals) === 0) best = host;
    }
  }
  return best;
}

interface WeightedPickerOptions {
  readonly env: BalancerEnv;
  readonly warming: SlowStart | undefined;
  readonly weightOf: (host: ClusterHost) => number;
  readonly pickEvenly: (hosts: readonly ClusterHost[]) => ClusterHost | undefined;
}

/** Hosts of one weight are chosen without a schedule, as Envoy does. */
function weightedPicker({ env, warming, weightOf, pickEvenly }: WeightedPickerOptions): HostPicker {
  let known: readonly ClusterHost[] | undefined;
  let schedule: EdfScheduler<ClusterHost> | undefined;
  return {
    pick(hosts) {
      if (hosts !== known) {
        known = hosts;
        const isEven = hosts.every(({ weight }) => weight === hosts[0]?.weight) && !(warming?.isAny(hosts) ?? false);
        schedule = isEven ? undefined : new EdfScheduler(hosts, weightOf, env.random());
      }
      return schedule === undefined ? pickEvenly(hosts) : schedule.next();
    },
  };
}
