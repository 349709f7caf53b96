import { u32, u64 } from "@meltemi/protos";
import type { Cluster } from "@meltemi/protos/envoy/config/cluster/v3";
import fc from "fast-check";
import { expect, test } from "vitest";
import { xxHash64 } from "../hash/xx-hash.ts";
import { balancerEnv, hostOf, seededRandom, setOf, tally } from "../testing/balancer-rig.ts";
import type { Balancer } from "./balancer.ts";
import { compileBalancer } from "./compile-balancer.ts";

const firstPort = 18_471;

/** Which of four hosts with the weights 1 to 4 Envoy 1.40 chose for the header values "key-0" to "key-299". */
const chosenByEnvoy: readonly (readonly [string, Cluster, string])[] = [
  [
    "ring",
    { lb_policy: "RING_HASH" },
    "1031122330333231132331332322130223133102220223232222233223223213233312332323002213322332102112313031" +
      "2220322331121122332103320332111311130312322223113223103333302213332223331232032103203333331123331102" +
      "2330121333130313321311322121313300120133022331221011232313321113331311332122311330321022133232031213",
  ],
  [
    "ring by murmur hash",
    { lb_policy: "RING_HASH", ring_hash_lb_config: { hash_function: "MURMUR_HASH_2", minimum_ring_size: u64(200) } },
    "2212032333131223322323233202232022233221123222212202221222320233012122132211222033231231321103232213" +
      "3102121221123321233012112311232132321311221122322222200311123221133332331333332232303223113320122222" +
      "0332323022222231213122213302022233202332113021223120320123321223131201211232233312131103332221223123",
  ],
  [
    "maglev",
    { lb_policy: "MAGLEV" },
    "1031233213130323031333321331223213302230131322023313233013132223233331232331113323311330021231232233" +
      "0322321122131333332031120331332001322313033203233233210121102333023312330233333221212013133002201133" +
      "3131213313233302211233113113323102212213032232023212033022231031113323030030323333222123032300131203",
  ],
];

test.each(chosenByEnvoy)("%s chooses as Envoy does", (_, cluster, expected) => {
  const hosts = [1, 2, 3, 4].map((weight, index) => hostOf({ port: firstPort + index, weight }));
  const balancer = create(cluster, hosts);
  const chosen = Array.from({ length: expected.length }, (_each, key) => {
    const host = balancer.choose({ hash: xxHash64(`key-${key}`) });
    return (host?.port ?? 0) - firstPort;
  });
  expect(chosen.join("")).toBe(expected);
});

test("sizes of rings and tables are those that Envoy shows for these hosts", () => {
  const hosts = [1, 2, 3, 4].map((weight, index) => hostOf({ port: firstPort + index, weight }));
  const shown = chosenByEnvoy.map(([, cluster]) => {
    const env = balancerEnv();
    create(cluster, hosts, env).choose({});
    return Object.fromEntries([...env.registry.gauges()].filter(([name]) => /ring_hash|maglev/.test(name)));
  });
  expect(shown).toEqual([
    { "ring_hash_lb.size": 1030, "ring_hash_lb.min_hashes_per_host": 103, "ring_hash_lb.max_hashes_per_host": 412 },
    { "ring_hash_lb.size": 200, "ring_hash_lb.min_hashes_per_host": 20, "ring_hash_lb.max_hashes_per_host": 80 },
    { "maglev_lb.min_entries_per_host": 6554, "maglev_lb.max_entries_per_host": 26_214 },
  ]);
});

test.each(["RING_HASH", "MAGLEV"] as const)("%s: a host that goes moves few hashes of the others", (lb_policy) => {
  const hosts = Array.from({ length: 10 }, (_, index) => hostOf({ port: 1 + index }));
  const before = create({ lb_policy }, hosts);
  const after = create({ lb_policy }, hosts.slice(1));
  const hashes = Array.from({ length: 500 }, (_, index) => xxHash64(`${index}`));
  const kept = hashes.filter((hash) => before.choose({ hash }) === after.choose({ hash })).length;
  expect(kept).toBeGreaterThan(400);
});

test.each(["RING_HASH", "MAGLEV"] as const)(
  "%s: hosts that drain get nothing, and move no hash of others",
  (lb_policy) => {
    const hosts = [1, 2].map((port) => hostOf({ port }));
    const draining = [3, 4, 5].map((port) => hostOf({ port, status: "DRAINING" }));
    const before = create({ lb_policy }, hosts);
    const after = create({ lb_policy }, [...hosts, ...draining]);
    const hashes = Array.from({ length: 50 }, (_, index) => xxHash64(`${index}`));
    expect(hashes.map((hash) => after.choose({ hash }))).toEqual(hashes.map((hash) => before.choose({ hash })));
  },
);

test("a hash always goes to the same host, in whatever order hosts are listed", () => {
  const hosts = Array.from({ length: 5 }, (_, index) => hostOf({ port: 1 + index }));
  for (const lb_policy of ["RING_HASH", "MAGLEV"] as const) {
    const one = create({ lb_policy }, hosts);
    const other = create({ lb_policy }, [...hosts].reverse());
    fc.assert(
      fc.property(
        fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
        (hash) => one.choose({ hash }) === other.choose({ hash }),
      ),
      {
        numRuns: 200,
        seed: 1,
      },
    );
  }
});

test("another host is looked for where the first is to be avoided", () => {
  const hosts = [hostOf({ port: 1 }), hostOf({ port: 2 }), hostOf({ port: 3 })];
  for (const lb_policy of ["RING_HASH", "MAGLEV"] as const) {
    const balancer = create({ lb_policy }, hosts);
    const hash = xxHash64("a");
    const first = balancer.choose({ hash });
    const avoid = new Set(first === undefined ? [] : [first]);
    expect(balancer.choose({ hash, avoid, maxReselections: 20 })).not.toBe(first);
  }
});

test("hash_key of the metadata, else the host's name where that is asked for, says the place", () => {
  const byKey = (port: number): ReturnType<typeof hostOf> =>
    hostOf({ port, metadata: { "envoy.lb": { hash_key: `k${port % 10}` } } });
  const byName = (port: number): ReturnType<typeof hostOf> => hostOf({ port, hostname: `k${port % 10}` });
  const config = { common_lb_config: { consistent_hashing_lb_config: { use_hostname_for_hashing: true } } };
  const balancers = [
    create({ lb_policy: "RING_HASH" }, [11, 12, 13].map(byKey)),
    create({ lb_policy: "RING_HASH" }, [21, 22, 23].map(byKey)),
    create({ lb_policy: "RING_HASH", ...config }, [31, 32, 33].map(byName)),
  ];
  for (let index = 0; index < 50; index += 1) {
    const hash = xxHash64(`${index}`);
    const places = new Set(balancers.map((balancer) => (balancer.choose({ hash })?.port ?? 0) % 10));
    expect(places.size).toBe(1);
  }
});

test("hash_balance_factor passes on what is too much for a host", () => {
  const hosts = [hostOf({ port: 1 }), hostOf({ port: 2 })];
  const active = { count: 0 };
  const env = balancerEnv({ activeRequests: () => active.count });
  const common_lb_config = { consistent_hashing_lb_config: { hash_balance_factor: u32(100) } };
  const balancer = create({ lb_policy: "MAGLEV", common_lb_config }, hosts, env);
  const hash = xxHash64("all the same");
  for (active.count = 0; active.count < 10; active.count += 1) {
    const host = balancer.choose({ hash });
    if (host !== undefined) host.activeRequests += 1;
  }
  const counts = hosts.map(({ activeRequests }) => activeRequests).sort();
  expect(counts[0]).toBeGreaterThanOrEqual(3);
});

test.each([
  [{ lb_policy: "MAGLEV", maglev_lb_config: { table_size: u64(10) } }, "The table size of maglev must be prime number"],
  [
    { lb_policy: "RING_HASH", ring_hash_lb_config: { minimum_ring_size: u64(10), maximum_ring_size: u64(5) } },
    "minimum_ring_size (10) > maximum_ring_size (5)",
  ],
  [{ load_balancing_policy: { policies: [] } }, "Didn't find a registered load balancer"],
] satisfies [Cluster, string][])("%j is refused", (cluster, message) => {
  expect(() => compileBalancer(cluster)).toThrow(message);
});

test("without a hash, hosts are chosen at random by weight", () => {
  const hosts = [hostOf({ port: 1, weight: 1 }), hostOf({ port: 2, weight: 3 })];
  const balancer = create({ lb_policy: "MAGLEV" }, hosts, balancerEnv({ random: seededRandom(5) }));
  const counts = tally(2000, () => balancer.choose({}));
  expect(counts.get(2)).toBeGreaterThan(1350);
  expect(counts.get(2)).toBeLessThan(1650);
});

function create(cluster: Cluster, hosts: readonly ReturnType<typeof hostOf>[], env = balancerEnv()): Balancer {
  const plan = compileBalancer(cluster);
  if (plan.create === "provided") throw new Error("the policy chooses itself");
  const sets = [setOf(hosts)];
  return plan.create(() => sets, env);
}
