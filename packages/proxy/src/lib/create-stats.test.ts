import { describe, expect, it } from "vitest";
import { createStatsRegistry } from "./create-stats.ts";
import { formatPrometheus } from "./prometheus-text.ts";
import type { StatsRegistry } from "./stats-registry.ts";

function listNames(stats: StatsRegistry): readonly string[] {
  return [...stats.counters().keys(), ...stats.gauges().keys(), ...stats.histograms().keys()].sort();
}

const everything = { isWanted: () => true };

describe("createStatsRegistry", () => {
  it("gives the same statistic for the same name, also below a scope", () => {
    const stats = createStatsRegistry();
    stats.scope("cluster.").scope("a:b").counter("upstream_rq_total").inc(2);
    stats.counter("cluster.a_b.upstream_rq_total").inc();
    expect([...stats.counters()]).toEqual([["cluster.a_b.upstream_rq_total", 3]]);
  });

  it("shows only what the matcher lets through, and counts the rest unseen", () => {
    const stats = createStatsRegistry({
      tags: { stats_matcher: { inclusion_list: { patterns: [{ prefix: "server" }] } } },
    });
    const hidden = stats.counter("cluster.a.x");
    hidden.inc(5);
    stats.gauge("server.state").set(0);
    expect(hidden.value).toBe(5);
    expect([...stats.counters()]).toEqual([]);
    expect([...stats.gauges()]).toEqual([["server.state", 0]]);
  });

  it("knows what was used, resets counters and histograms, and forgets what is gone", () => {
    const stats = createStatsRegistry();
    stats.counter("cluster.a.x").inc();
    stats.counter("cluster.b.x");
    stats.gauge("cluster.a.g").set(0);
    stats.histogram("cluster.a.h").record(3);
    expect(["cluster.a.x", "cluster.b.x", "cluster.a.g", "cluster.a.h"].map((name) => stats.isUsed(name))).toEqual([
      true,
      false,
      true,
      true,
    ]);
    stats.reset();
    expect(stats.counters().get("cluster.a.x")).toBe(0);
    expect(stats.isUsed("cluster.a.x")).toBe(true);
    expect(stats.histograms().get("cluster.a.h")?.count).toBe(0);
    stats.counter("cluster.a.sub.x");
    stats.scope("cluster.c://d").counter("x");
    stats.forget(["cluster.a.", "cluster.c://d."], (prefix) => prefix === "cluster.a.sub.");
    expect(listNames(stats)).toEqual(["cluster.a.sub.x", "cluster.b.x"]);
  });

  it("has Envoy's quantiles and buckets", () => {
    const stats = createStatsRegistry();
    const histogram = stats.histogram("h");
    // What an Envoy printed for these values: P0 1.0333 P25 2.05 P50 5.05 P75 6.05 P90 34.5.
    for (const value of [1, 1, 2, 4, 5, 6, 6, 6, 34]) histogram.record(value);
    const values = stats
      .histograms()
      .get("h")
      ?.quantiles.map(([, value]) => Math.round(value * 10_000) / 10_000);
    expect(values).toEqual([1.0333, 2.05, 5.05, 6.05, 34.5, 34.5, 34.5, 34.5, 34.5, 34.5]);
    expect(stats.histograms().get("h")?.buckets.slice(0, 6)).toEqual([
      [0.5, 0],
      [1, 2],
      [5, 5],
      [10, 8],
      [25, 8],
      [50, 9],
    ]);
    expect(stats.histograms().get("h")?.interval.count).toBe(0);
    stats.flush();
    expect(stats.histograms().get("h")?.interval.count).toBe(9);
    stats.flush();
    expect(stats.histograms().get("h")).toMatchObject({ count: 9, sum: 65, interval: { count: 0 } });
  });

  it.each([
    [0.004, 0.00405],
    [0.25, 0.255],
    [535, 535],
    [1_234_567, 1_250_000],
    [0, 0],
  ])("finds %d again in its bin", (value, found) => {
    const stats = createStatsRegistry();
    stats.histogram("h").record(value);
    expect(stats.histograms().get("h")?.quantiles[2]?.[1]).toBeCloseTo(found, 8);
  });
});

describe("statistics of owners", () => {
  it("shows names that were announced, until their owner is forgotten, and those alone that the matcher lets through", () => {
    const patterns = [{ prefix: "cluster.a" }, { prefix: "cluster.b.x" }];
    const stats = createStatsRegistry({ tags: { stats_matcher: { inclusion_list: { patterns } } } });
    const names = { counters: ["x", "y"], gauges: ["g"], histograms: ["h"] };
    for (const prefix of ["cluster.a", "cluster.a.sub", "cluster.b"]) stats.scope(prefix).announce(names);
    stats.scope("cluster.a").counter("x").inc(2);
    const ofSub = ["cluster.a.sub.g", "cluster.a.sub.h", "cluster.a.sub.x", "cluster.a.sub.y"];
    expect(listNames(stats)).toEqual(
      ["cluster.a.g", "cluster.a.h", ...ofSub, "cluster.a.x", "cluster.a.y", "cluster.b.x"].sort(),
    );
    expect([...stats.counters()].filter(([, value]) => value > 0)).toEqual([["cluster.a.x", 2]]);
    expect(stats.histograms().get("cluster.a.h")?.count).toBe(0);
    expect(["cluster.a.x", "cluster.a.y"].map((name) => stats.isUsed(name))).toEqual([true, false]);
    stats.forget(["cluster.a"], (prefix) => prefix === "cluster.a.sub.");
    expect(listNames(stats)).toEqual([...ofSub, "cluster.b.x"]);
    stats.forget(["cluster."]);
    expect(listNames(stats)).toEqual([]);
    // Whoever still has the scope finds its owner anew.
    stats.scope("cluster.a").counter("x").inc();
    expect(listNames(stats)).toEqual(["cluster.a.x"]);
  });

  it("asks of nothing but the names of whom it forgets whether they go", () => {
    const stats = createStatsRegistry();
    for (let index = 0; index < 1_000; index++) stats.counter(`cluster.c${index}.x`).inc();
    const asked = new Set<string>();
    stats.forget(["cluster.c7."], (prefix) => {
      asked.add(prefix);
      return false;
    });
    expect([...asked]).toEqual(["cluster.c7."]);
    expect(listNames(stats)).toHaveLength(999);
  });
});

describe("tags", () => {
  it.each([
    ["cluster.a.b.upstream_rq_200", "cluster.b.upstream_rq", ["envoy.response_code=200", "envoy.cluster_name=a"]],
    ["cluster.a.upstream_rq_5xx", "cluster.upstream_rq_xx", ["envoy.response_code_class=5", "envoy.cluster_name=a"]],
    [
      "http.ing.rbac.rsp.policy.p1.allowed",
      "http.rbac.policy.allowed",
      ["envoy.rbac_policy_name=p1", "envoy.rbac_http_prefix=rsp", "envoy.http_conn_manager_prefix=ing"],
    ],
    ["http.ing.rbac.shadow_denied", "http.rbac.shadow_denied", ["envoy.http_conn_manager_prefix=ing"]],
    ["lrl.http_local_rate_limit.ok", "http_local_rate_limit.ok", ["envoy.local_http_ratelimit_prefix=lrl"]],
    ["listener.0.0.0.0_80.downstream_cx_total", "listener.downstream_cx_total", ["envoy.listener_address=0.0.0.0_80"]],
    [
      "listener.[__1]_80.http.in.downstream_rq_2xx",
      "listener.http.downstream_rq_xx",
      ["envoy.response_code_class=2", "envoy.http_conn_manager_prefix=in", "envoy.listener_address=[__1]_80"],
    ],
    ["listener.admin.downstream_cx_total", "listener.admin.downstream_cx_total", []],
    [
      "vhost.v.vcluster.c.upstream_rq_total",
      "vhost.vcluster.upstream_rq_total",
      ["envoy.virtual_cluster=c", "envoy.virtual_host=v"],
    ],
    ["server.worker_0.watchdog_miss", "server.worker_watchdog_miss", ["envoy.worker_id=0"]],
    ["cluster.a.ext_authz.e.ok", "cluster.ext_authz.ok", ["envoy.cluster_name=a", "envoy.ext_authz_prefix=e"]],
    ["server.live", "server.live", []],
  ])("of %s", (full, name, tags) => {
    const tagged = createStatsRegistry().tagsOf(full);
    expect([tagged.name, tagged.tags.map((tag) => tag.join("="))]).toEqual([name, tags]);
  });

  it("takes rules with POSIX classes, lookaheads and fixed values, and defaults by name", () => {
    const stats = createStatsRegistry({
      tags: {
        use_all_default_tags: {},
        stats_tags: [
          { tag_name: "cluster_name", regex: "^cluster(\\.(.+);)" },
          {
            tag_name: "prefix",
            regex: "^listener(?=\\.).*?\\.http\\.(((?:[_.[:digit:]]*|[_\\[\\]aAbBcCdDeEfF[:digit:]]*))\\.)",
          },
          { tag_name: "envoy.response_code" },
          { tag_name: "env", fixed_value: "test" },
        ],
      },
    });
    expect(stats.tagsOf("cluster.outbound|80||a.b;.upstream_rq_200")).toEqual({
      name: "cluster.upstream_rq",
      tags: [
        ["cluster_name", "outbound|80||a.b"],
        ["envoy.response_code", "200"],
        ["env", "test"],
      ],
    });
    expect(stats.tagsOf("listener.0.0.0.0_80.http.1.1_80.x").tags[0]).toEqual(["prefix", "1.1_80"]);
  });

  it("refuses a tag without a rule", () => {
    expect(() => createStatsRegistry({ tags: { stats_tags: [{ tag_name: "own" }] } })).toThrow(
      /^stats_tags\[0\]\.regex: is required/,
    );
  });
});

it("lists all in parts that follow each other by name", () => {
  const stats = createStatsRegistry();
  const names = ["server.live", "server.a.b.c", "server.a.b", "server.zone", "cluster.b.x", "cluster.a.x"];
  for (const name of names) stats.counter(name).inc();
  const parts = stats.parts().map((part) => [...part.counters().keys()].sort());
  expect(parts.flat()).toEqual(names.toSorted());
  expect(parts.length).toBeGreaterThan(2);
});

describe("formatPrometheus", () => {
  it("prints what Envoy prints", () => {
    const stats = createStatsRegistry({
      tags: { histogram_bucket_settings: [{ match: { suffix: "_time" }, buckets: [1, 10] }] },
    });
    stats.counter("cluster.b.upstream_rq_total").inc(3);
    stats.counter("cluster.a.upstream_rq_total");
    stats.counter('istiocustom.istio_requests_total.x"');
    stats.gauge("server.live").set(1);
    stats.histogram("cluster.a.upstream_rq_time").record(5);
    expect([...formatPrometheus(stats, everything)].join("").split("\n")).toEqual([
      "# TYPE envoy_cluster_upstream_rq_total counter",
      'envoy_cluster_upstream_rq_total{envoy_cluster_name="a"} 0',
      'envoy_cluster_upstream_rq_total{envoy_cluster_name="b"} 3',
      "# TYPE istio_requests_total_x_ counter",
      "istio_requests_total_x_{} 0",
      "# TYPE envoy_server_live gauge",
      "envoy_server_live{} 1",
      "# TYPE envoy_cluster_upstream_rq_time histogram",
      'envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="a",le="1"} 0',
      'envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="a",le="10"} 1',
      'envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="a",le="+Inf"} 1',
      'envoy_cluster_upstream_rq_time_sum{envoy_cluster_name="a"} 5',
      'envoy_cluster_upstream_rq_time_count{envoy_cluster_name="a"} 1',
      "",
    ]);
  });
});
