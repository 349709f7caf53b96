import { duration, packAny, struct, u32, u64 } from "@meltemi/protos";
import type { Cluster } from "@meltemi/protos/envoy/config/cluster/v3";
import fc from "fast-check";
import { expect, test } from "vitest";
import type { HostSet } from "../hosts/host-set.ts";
import { balancerEnv, hostOf, localitySet, prioritySet, seededRandom, setOf, tally } from "../testing/balancer-rig.ts";
import type { Balancer, BalancerEnv } from "./balancer.ts";
import { compileBalancer } from "./compile-balancer.ts";
import { EdfScheduler } from "./edf-scheduler.ts";

test("round robin takes hosts in turn, and by weight as evenly as can be", () => {
  const even = create({}, [setOf([1, 2, 3].map((port) => hostOf({ port })))]);
  expect([...tally(30, () => even.choose({})).values()]).toEqual([10, 10, 10]);
  const weighted = create({}, [setOf([hostOf({ port: 1, weight: 1 }), hostOf({ port: 2, weight: 2 })])]);
  expect(tally(300, () => weighted.choose({})).get(2)).toBe(200);
});

test("a schedule gives everyone turns by weight, whatever the weights and the beginning", () => {
  const weights = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(weights, fc.double({ min: 0, max: 0.999, noNaN: true }), (list, phase) => {
      const places = list.map((_, place) => place);
      const schedule = new EdfScheduler(places, (place) => list[place] ?? 1, phase);
      const sum = list.reduce((all, each) => all + each, 0);
      const counts = list.map(() => 0);
      for (let turn = 0; turn < sum * 3; turn += 1) {
        const place = schedule.next() ?? 0;
        counts[place] = (counts[place] ?? 0) + 1;
      }
      for (const place of places)
        expect(Math.abs((counts[place] ?? 0) - 3 * (list[place] ?? 0))).toBeLessThanOrEqual(1);
    }),
    { seed: 3, numRuns: 200 },
  );
});

test("least request prefers hosts with fewer requests, and none beyond its weight", () => {
  const [busy, idle] = [hostOf({ port: 1 }), hostOf({ port: 2 })];
  busy.activeRequests = 10;
  const even = create({ lb_policy: "LEAST_REQUEST" }, [setOf([busy, idle])]);
  // Two draws of two hosts: the busy one only where both are it.
  expect(tally(1000, () => even.choose({})).get(1)).toBeLessThan(350);
  const weighted = create({ lb_policy: "LEAST_REQUEST" }, [
    setOf([hostOf({ port: 1, weight: 1 }), hostOf({ port: 2, weight: 3 })]),
  ]);
  expect(tally(400, () => weighted.choose({})).get(2)).toBe(300);
  const full = create(
    policy(
      packAny("envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest", {
        selection_method: "FULL_SCAN",
      }),
    ),
    [setOf([busy, idle, hostOf({ port: 3 })])],
  );
  expect(tally(200, () => full.choose({})).has(1)).toBe(false);
});

test("random chooses all hosts alike, whatever they weigh", () => {
  const balancer = create({ lb_policy: "RANDOM" }, [setOf([hostOf({ port: 1, weight: 9 }), hostOf({ port: 2 })])]);
  const counts = tally(2000, () => balancer.choose({}));
  expect(counts.get(2)).toBeGreaterThan(850);
});

test("only healthy hosts are chosen, all of them in panic, and none where panic is off", () => {
  const calm = create({}, [prioritySet(0, { healthy: 3, unhealthy: 2 })]);
  expect([...tally(30, () => calm.choose({})).keys()].sort()).toEqual([1, 2, 3]);
  const env = balancerEnv();
  const panicking = create({}, [prioritySet(0, { healthy: 1, unhealthy: 3 })], env);
  expect(tally(40, () => panicking.choose({})).size).toBe(4);
  expect(env.lbStats.lb_healthy_panic.value).toBe(40);
  const off = create({ common_lb_config: { healthy_panic_threshold: {} } }, [prioritySet(0, { unhealthy: 3 })]);
  expect(off.choose({})).toBeUndefined();
  const failing = create({ common_lb_config: { zone_aware_lb_config: { fail_traffic_on_panic: true } } }, [
    prioritySet(0, { healthy: 1, unhealthy: 3 }),
  ]);
  expect(failing.choose({})).toBeUndefined();
});

test("localities get turns by weight, less as their hosts fail", () => {
  const hosts = (first: number, status: "HEALTHY" | "UNHEALTHY"): ReturnType<typeof hostOf>[] =>
    [0, 1].map((index) => hostOf({ port: first + index, status }));
  const set = localitySet([
    { zone: "a", weight: 1, hosts: hosts(1, "HEALTHY") },
    { zone: "b", weight: 2, hosts: hosts(11, "HEALTHY") },
  ]);
  const cluster = { common_lb_config: { locality_weighted_lb_config: {} } };
  const counts = tally(300, chooser(create(cluster, [set])));
  expect((counts.get(11) ?? 0) + (counts.get(12) ?? 0)).toBe(200);
  const half = localitySet([
    { zone: "a", weight: 1, hosts: hosts(1, "HEALTHY") },
    { zone: "b", weight: 1, hosts: [...hosts(11, "HEALTHY").slice(0, 1), ...hosts(13, "UNHEALTHY").slice(0, 1)] },
  ]);
  // 1 against 1.4 / 2.
  const less = tally(1700, chooser(create(cluster, [half])));
  expect(less.get(11)).toBe(700);
});

test("weights of localities do not count unless they are asked for", () => {
  const set = localitySet([
    { zone: "a", weight: 1, hosts: [hostOf({ port: 1 })] },
    { zone: "b", weight: 99, hosts: [hostOf({ port: 2 })] },
  ]);
  expect(tally(100, chooser(create({}, [set]))).get(1)).toBe(50);
});

test("zone-aware routing stays at home as far as home has room", () => {
  const zone = (name: string, first: number, count: number) => ({
    zone: name,
    weight: 1,
    hosts: Array.from({ length: count }, (_, index) => hostOf({ port: first + index })),
  });
  const local = localitySet([zone("a", 1000, 5), zone("b", 1100, 5)], { home: "a" });
  const env = balancerEnv({ localHosts: () => local });
  const enough = localitySet([zone("a", 1, 5), zone("b", 101, 5)], { home: "a" });
  expect([...tally(200, chooser(create({}, [enough], env))).keys()].every((port) => port < 100)).toBe(true);
  expect(env.lbStats.lb_zone_routing_all_directly.value).toBe(200);
  const scarce = localitySet([zone("a", 1, 2), zone("b", 101, 8)], { home: "a" });
  const counts = tally(4000, chooser(create({}, [scarce], env)));
  const atHome = [...counts].reduce((sum, [port, count]) => (port < 100 ? sum + count : sum), 0);
  // 20 % of the hosts for 50 % of the callers: two fifths of their requests.
  expect(atHome).toBeGreaterThan(1450);
  expect(atHome).toBeLessThan(1750);
  const small = localitySet([zone("a", 1, 1), zone("b", 101, 1)], { home: "a" });
  expect(tally(100, chooser(create({}, [small], env))).get(101)).toBe(50);
  expect(env.lbStats.lb_zone_cluster_too_small.value).toBeGreaterThan(0);
});

test("hosts that were tried are passed over as often as is asked for", () => {
  const hosts = [hostOf({ port: 1 }), hostOf({ port: 2 })];
  const balancer = create({ lb_policy: "RANDOM" }, [setOf(hosts)]);
  const avoid = new Set(hosts.slice(0, 1));
  const counts = tally(200, () => balancer.choose({ avoid, maxReselections: 30 }));
  expect([...counts.keys()]).toEqual([2]);
  expect(tally(200, () => balancer.choose({ avoid })).get(1)).toBeGreaterThan(50);
});

test("priorities that were tried are passed over", () => {
  const sets = [prioritySet(0, { healthy: 2 }), setOf([hostOf({ port: 900 })], 1)];
  const balancer = create({}, sets);
  expect(balancer.choose({ triedPriorities: [0] })?.port).toBe(900);
  expect(balancer.choose({ triedPriorities: [0, 1] })?.port).toBeLessThan(3);
});

test("a new host gets more the longer it is there", () => {
  const time = { now: 0 };
  const env = balancerEnv();
  const clock = { ...env.clock, monotonic: () => time.now };
  const [old, fresh] = [hostOf({ port: 1 }), hostOf({ port: 2 })];
  old.warmSince = -100_000;
  const cluster: Cluster = { round_robin_lb_config: { slow_start_config: { slow_start_window: duration(10_000) } } };
  let sets: readonly HostSet[] = [setOf([old, fresh])];
  const plan = compileBalancer(cluster).create;
  if (plan === "provided") throw new Error("the policy chooses itself");
  const balancer = plan(() => sets, { ...env, clock });
  const shares = [1, 5000, 20_000].map((now) => {
    time.now = now;
    sets = [...sets].map((set) => ({ ...set, healthy: [...set.healthy] }));
    return (tally(1100, chooser(balancer)).get(2) ?? 0) / 1100;
  });
  expect(shares[0]).toBeCloseTo(0.1 / 1.1, 1);
  expect(shares[1]).toBeCloseTo(0.5 / 1.5, 1);
  expect(shares[2]).toBeCloseTo(0.5, 1);
});

const subsets: Cluster = {
  lb_subset_config: {
    fallback_policy: "ANY_ENDPOINT",
    default_subset: struct({ stage: "prod" }),
    subset_selectors: [
      { keys: ["version", "stage"], fallback_policy: "KEYS_SUBSET", fallback_keys_subset: ["stage"] },
      { keys: ["stage"], fallback_policy: "NO_FALLBACK" },
      { keys: ["version"], fallback_policy: "DEFAULT_SUBSET" },
    ],
  },
};

test.each<[string, Readonly<Record<string, unknown>> | undefined, readonly number[]]>([
  ["no match: any", undefined, [1, 2, 3]],
  ["keys without a selector: any", { zone: "x" }, [1, 2, 3]],
  ["a subset", { stage: "prod" }, [1, 2]],
  ["another", { version: "2", stage: "prod" }, [2]],
  ["a subset of fewer keys", { version: "9", stage: "test" }, [3]],
  ["no such subset: none", { stage: "gone" }, []],
  ["no such subset: the default", { version: "9" }, [1, 2]],
])("subsets: %s", (_, metadataMatch, expected) => {
  const host = (port: number, version: string, stage: string) =>
    hostOf({ port, metadata: { "envoy.lb": { version, stage } } });
  const balancer = create(subsets, [setOf([host(1, "1", "prod"), host(2, "2", "prod"), host(3, "1", "test")])]);
  const counts = tally(60, () => balancer.choose({ metadataMatch }));
  expect([...counts.keys()].filter((port) => port > 0).sort()).toEqual(expected);
});

test("a subset of which no host is well has none to give, whatever the fallback", () => {
  const cluster: Cluster = {
    common_lb_config: { healthy_panic_threshold: {} },
    lb_subset_config: { fallback_policy: "ANY_ENDPOINT", subset_selectors: [{ keys: ["version"] }] },
  };
  const host = (port: number, version: string, status: "HEALTHY" | "UNHEALTHY") =>
    hostOf({ port, status, metadata: { "envoy.lb": { version } } });
  const balancer = create(cluster, [setOf([host(1, "1", "HEALTHY"), host(2, "2", "UNHEALTHY")])]);
  const choose = (version: string) => balancer.choose({ metadataMatch: { version } })?.port;
  expect([choose("1"), choose("2"), choose("3")]).toEqual([1, undefined, 1]);
});

test("subsets by a list as any of its members, and by a fallback list of metadata", () => {
  const cluster: Cluster = {
    lb_subset_config: {
      list_as_any: true,
      metadata_fallback_policy: "FALLBACK_LIST",
      subset_selectors: [{ keys: ["stage"] }],
    },
  };
  const host = (port: number, stage: unknown) => hostOf({ port, metadata: { "envoy.lb": { stage } } });
  const balancer = create(cluster, [setOf([host(1, ["a", "b"]), host(2, "b")])]);
  expect([...tally(20, () => balancer.choose({ metadataMatch: { stage: "b" } })).keys()].sort()).toEqual([1, 2]);
  expect(balancer.choose({ metadataMatch: { stage: "a" } })?.port).toBe(1);
  const fallback_list = [{ stage: "x" }, { stage: "a" }];
  expect(balancer.choose({ metadataMatch: { fallback_list } })?.port).toBe(1);
});

test("the first policy that is known is taken, and wrr_locality weighs localities", () => {
  const inner = policy(packAny("envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin", {}));
  const cluster: Cluster = {
    load_balancing_policy: {
      policies: [
        { typed_extension_config: { name: "mine", typed_config: { type_url: "type.googleapis.com/acme.Mine" } } },
        {
          typed_extension_config: {
            name: "wrr",
            typed_config: packAny("envoy.extensions.load_balancing_policies.wrr_locality.v3.WrrLocality", {
              endpoint_picking_policy: inner.load_balancing_policy,
            }),
          },
        },
      ],
    },
  };
  const set = localitySet([
    { zone: "a", weight: 1, hosts: [hostOf({ port: 1 })] },
    { zone: "b", weight: 3, hosts: [hostOf({ port: 2 })] },
  ]);
  expect(tally(100, chooser(create(cluster, [set]))).get(2)).toBe(75);
});

test.each<[Cluster, string]>([
  [{ least_request_lb_config: { choice_count: u32(1) }, lb_policy: "LEAST_REQUEST" }, "choice_count"],
  [{ lb_policy: "CLUSTER_PROVIDED", lb_subset_config: { subset_selectors: [{ keys: ["a"] }] } }, "lb_subset_config"],
  [
    {
      lb_subset_config: {
        subset_selectors: [{ keys: ["a"], fallback_policy: "KEYS_SUBSET", fallback_keys_subset: ["a"] }],
      },
    },
    "cannot be equal",
  ],
  [
    policy(packAny("envoy.extensions.load_balancing_policies.maglev.v3.Maglev", { table_size: u64(4) })),
    "must be prime",
  ],
  [
    policy(
      packAny(
        "envoy.extensions.load_balancing_policies.client_side_weighted_round_robin.v3.ClientSideWeightedRoundRobin",
        {},
      ),
    ),
    "client_side_weighted_round_robin",
  ],
])("%j is refused", (cluster, message) => {
  expect(() => compileBalancer(cluster)).toThrow(message);
});

function policy(typed_config: ReturnType<typeof packAny>): Cluster {
  return { load_balancing_policy: { policies: [{ typed_extension_config: { name: "policy", typed_config } }] } };
}

function create(
  cluster: Cluster,
  sets: readonly HostSet[],
  env: BalancerEnv = balancerEnv({ random: seededRandom(11) }),
): Balancer {
  const plan = compileBalancer(cluster).create;
  if (plan === "provided") throw new Error("the policy chooses itself");
  return plan(() => sets, env);
}

function chooser(balancer: Balancer): () => ReturnType<Balancer["choose"]> {
  return () => balancer.choose({});
}

test("a bias of 0 leaves the weights as they are, however busy hosts are", () => {
  const [busy, idle] = [hostOf({ port: 1, weight: 3 }), hostOf({ port: 2, weight: 1 })];
  busy.activeRequests = 100;
  // A wrapper of nothing is what decoding gives for 0.
  const least_request_lb_config = { active_request_bias: {} };
  const balancer = create({ lb_policy: "LEAST_REQUEST", least_request_lb_config }, [setOf([busy, idle])]);
  expect(tally(400, () => balancer.choose({})).get(1)).toBe(300);
});
