/** A cluster manager for tests, with a clock that stands still and numbers that can be read. */

import { duration } from "@meltemi/protos";
import type { Cluster } from "@meltemi/protos/envoy/config/cluster/v3";
import type { Address } from "@meltemi/protos/envoy/config/core/v3";
import type { ClusterLoadAssignment, LbEndpoint } from "@meltemi/protos/envoy/config/endpoint/v3";
import { TestClock } from "../../../../../test/support/test-clock.ts";
import { HeaderList } from "../../http/header-list.ts";
import { createStatsRegistry } from "../../lib/create-stats.ts";
import { silentLog } from "../../lib/log.ts";
import type { StatsRegistry } from "../../lib/stats-registry.ts";
import type { SecretProvider } from "../../tls/types.ts";
import { type ClusterManagerEnv, createClusterManager } from "../cluster-manager.ts";
import type { ClusterUpdates, Host, LoadBalancerContext, UpstreamRequest } from "../types.ts";
import { quietRuntime, seededRandom } from "./balancer-rig.ts";

export interface ClusterRig {
  readonly clusters: ClusterUpdates;
  readonly clock: TestClock;
  readonly stats: StatsRegistry;
  /** The value of a counter or gauge below "cluster.a.". */
  stat(name: string): number | undefined;
  choose(name: string, context?: LoadBalancerContext): Promise<Host>;
  /** What hosts of "a" are chosen, by address. */
  addresses(name?: string): readonly string[];
}

const noSecrets: SecretProvider = {
  open: () => {
    throw new Error("no secrets here");
  },
  list: () => [],
};

export const origin = { isStatic: true, version: "1" };

export function createRig(overrides: Partial<ClusterManagerEnv> = {}): ClusterRig {
  const clock = new TestClock();
  const stats = createStatsRegistry();
  const clusters = createClusterManager({
    ...{ clock, stats },
    log: silentLog,
    random: seededRandom(1),
    secrets: noSecrets,
    runtime: quietRuntime,
    node: {},
    ...overrides,
  });
  return {
    ...{ clusters, clock, stats },
    stat: (name) => stats.counters().get(`cluster.a.${name}`) ?? stats.gauges().get(`cluster.a.${name}`),
    choose: async (name, context = {}) => {
      const cluster = clusters.find(name);
      if (cluster === undefined) throw new Error(`there is no cluster ${name}`);
      return await cluster.chooseHost(context);
    },
    addresses: (name = "a") => (clusters.find(name)?.listHosts() ?? []).map(({ address }) => address).sort(),
  };
}

export function addressOf(port: number, address = "127.0.0.1"): Address {
  return { socket_address: { address, port_value: port } };
}

export function endpointOf(port: number, address?: string): LbEndpoint {
  return { endpoint: { address: addressOf(port, address) } };
}

export function assignment(...endpoints: readonly LbEndpoint[]): ClusterLoadAssignment {
  return { cluster_name: "a", endpoints: [{ lb_endpoints: endpoints }] };
}

/** STATIC, called "a", with hosts at these ports. */
export function staticCluster(ports: readonly number[], overrides: Cluster = {}): Cluster {
  return {
    name: "a",
    type: "STATIC",
    connect_timeout: duration(1000),
    load_assignment: assignment(...ports.map((port) => endpointOf(port))),
    ...overrides,
  };
}

export function getRequest(path = "/"): UpstreamRequest {
  return {
    ...{ method: "GET", scheme: "http", authority: "a.test", path },
    ...{ headers: new HeaderList(), body: undefined, upgrade: undefined, downstreamProtocol: "HTTP/1.1" },
  };
}

/** Lets promises settle that wait for nothing but each other. */
export async function settle(): Promise<void> {
  for (let round = 0; round < 20; round += 1) await Promise.resolve();
}
