/** What one router filter works with, for all requests that go through it. */

import type { Router } from "@meltemi/protos/envoy/extensions/filters/http/router/v3";
import type { AccessLogger } from "../access-log/types.ts";
import type { HttpFilterEnv } from "../config/env.ts";
import type { Runtime } from "../config/runtime.ts";
import { findLocalAddress } from "../http/local-address.ts";
import type { Clock } from "../lib/clock.ts";
import type { Counter } from "../lib/stats.ts";
import { wrappedBool } from "../lib/wrapped.ts";
import type { ClusterManager, UpstreamCluster } from "../upstream/types.ts";
import { ClusterCounters, CodeCounters } from "./cluster-counters.ts";
import { Deadlines } from "./deadlines.ts";
import { compileStrictChecks, type StrictCheck } from "./strict-checks.ts";
import { readUpstreamNaming, type UpstreamNaming } from "./upstream-naming.ts";
import type { VirtualCluster } from "./virtual-clusters.ts";

const counterNames = [
  ...(["rq_total", "rq_direct_response", "rq_redirect", "no_route", "no_cluster"] as const),
  ...(["rq_reset_after_downstream_response_started", "passthrough_internal_redirect_bad_location"] as const),
  ...(["passthrough_internal_redirect_no_route", "passthrough_internal_redirect_predicate"] as const),
  ...(["passthrough_internal_redirect_too_many_redirects", "passthrough_internal_redirect_unsafe_scheme"] as const),
];

export interface RouterEnv {
  readonly clusters: ClusterManager;
  readonly clock: Clock;
  readonly random: () => number;
  readonly runtime: Runtime;
  readonly deadlines: Deadlines;
  readonly counters: Readonly<Record<(typeof counterNames)[number], Counter>>;
  /** Of this proxy; "" where it has none. */
  readonly zone: string;
  /** Of this machine: stands for this proxy where it is a client. */
  readonly localAddress: string;
  readonly suppressesHeaders: boolean;
  readonly respectsExpectedTimeout: boolean;
  readonly startsSpans: boolean;
  /** False: answers are not counted by their code. */
  readonly countsAnswers: boolean;
  readonly strictChecks: readonly StrictCheck[];
  /** For each attempt; undefined where there is none. */
  readonly log: AccessLogger | undefined;
  factsOf(cluster: UpstreamCluster): ClusterFacts;
  countersOf(cluster: VirtualCluster): CodeCounters;
}

/** What is worked out once for each cluster. */
export interface ClusterFacts {
  readonly counters: ClusterCounters;
  readonly naming: UpstreamNaming | undefined;
  readonly maintenanceKey: string;
}

/** Throws ConfigError. */
export function createRouterEnv(config: Router, env: HttpFilterEnv): RouterEnv {
  const facts = new WeakMap<UpstreamCluster, ClusterFacts>();
  const virtualClusters = new WeakMap<VirtualCluster, CodeCounters>();
  const hasLog = (config.upstream_log?.length ?? 0) > 0;
  return {
    clusters: env.clusters,
    clock: env.clock,
    random: env.random,
    runtime: env.runtime,
    deadlines: new Deadlines(env.clock),
    counters: createCounters(env),
    zone: env.node.locality?.zone ?? "",
    localAddress: findLocalAddress(),
    suppressesHeaders: config.suppress_envoy_headers === true,
    respectsExpectedTimeout: config.respect_expected_rq_timeout === true,
    startsSpans: config.start_child_span === true,
    countsAnswers: wrappedBool(config.dynamic_stats, true),
    strictChecks: compileStrictChecks(config.strict_check_headers),
    log: hasLog ? env.accessLogs.compile(config.upstream_log) : undefined,
    factsOf(cluster) {
      let found = facts.get(cluster);
      if (found === undefined) {
        found = {
          counters: new ClusterCounters(cluster.stats),
          naming: readUpstreamNaming(cluster.wire),
          maintenanceKey: `upstream.maintenance_mode.${cluster.name}`,
        };
        facts.set(cluster, found);
      }
      return found;
    },
    countersOf(cluster) {
      let found = virtualClusters.get(cluster);
      if (found === undefined) {
        found = new CodeCounters(cluster.stats, "");
        virtualClusters.set(cluster, found);
      }
      return found;
    },
  };
}

function createCounters({ httpStats }: HttpFilterEnv): RouterEnv["counters"] {
  const entries = counterNames.map((name) => [name, httpStats.counter(name)] as const);
  return Object.fromEntries(entries) as Record<(typeof counterNames)[number], Counter>;
}
