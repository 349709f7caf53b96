import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { bool, duration, packAny, u32 } from "@meltemi/protos";
import type { Cluster } from "@meltemi/protos/envoy/config/cluster/v3";
import type { LbEndpoint } from "@meltemi/protos/envoy/config/endpoint/v3";
import { afterEach, expect, test, vi } from "vitest";
import { TestClock } from "../../../../test/support/test-clock.ts";
import { collect } from "../http/body.ts";
import { HeaderList } from "../http/header-list.ts";
import {
  assignment,
  type ClusterRig,
  createRig,
  endpointOf,
  getRequest,
  origin,
  settle,
  staticCluster,
} from "./testing/cluster-rig.ts";
import { type Host, type UpstreamCluster, UpstreamError } from "./types.ts";

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

function rig(...args: Parameters<typeof createRig>): ClusterRig {
  const created = createRig(...args);
  closers.push(async () => {
    await created.clusters.close();
    expect(created.clock.running).toBe(0);
  });
  return created;
}

const edsCluster: Cluster = {
  name: "a",
  type: "EDS",
  eds_cluster_config: { service_name: "svc", eds_config: { ads: {} } },
};

test("a static cluster is there at once, and goes", async () => {
  const { clusters, choose, stat, addresses, stats } = rig();
  await clusters.update(staticCluster([1, 2]), origin);
  expect(addresses()).toEqual(["127.0.0.1:1", "127.0.0.1:2"]);
  expect((await choose("a")).ip).toBe("127.0.0.1");
  expect(stat("membership_total")).toBe(2);
  expect(stats.gauges().get("cluster_manager.active_clusters")).toBe(1);
  expect(stats.counters().get("cluster_manager.cluster_added")).toBe(1);
  clusters.remove("a");
  expect(clusters.find("a")).toBeUndefined();
  expect(clusters.list()).toEqual([]);
});

test("statistics of a cluster that was removed go when it has ended, and those of others stay", async () => {
  const { clusters, stats } = rig();
  const shown = (): readonly string[] => [
    ...new Set(
      [...stats.counters().keys()].flatMap((name) => /^cluster\.(.*)\.upstream_rq_total$/.exec(name)?.[1] ?? []),
    ),
  ];
  await clusters.update(staticCluster([1]), origin);
  await clusters.update({ ...staticCluster([2]), name: "a.b" }, origin);
  expect(shown()).toEqual(["a", "a.b"]);
  await clusters.update(staticCluster([3]), origin);
  clusters.sweepStats(stats);
  expect(shown()).toEqual(["a", "a.b"]);
  clusters.remove("a");
  await clusters.update(staticCluster([4]), origin);
  clusters.sweepStats(stats);
  expect(shown()).toEqual(["a", "a.b"]);
  clusters.remove("a");
  clusters.sweepStats(stats);
  expect(shown()).toEqual(["a.b"]);
});

test("statistics of a cluster that never was ready, or could not be used, do not stay", async () => {
  const { clusters, stats } = rig();
  const shown = (): readonly string[] =>
    [...stats.counters().keys(), ...stats.gauges().keys()].filter((name) => name.startsWith("cluster."));
  void clusters.update(edsCluster, origin);
  expect(shown()).not.toEqual([]);
  clusters.remove("a");
  clusters.sweepStats(stats);
  expect(shown()).toEqual([]);
  const unusable: Cluster = { ...staticCluster([1]), circuit_breakers: { per_host_thresholds: [{}] } };
  expect(() => clusters.update(unusable, origin)).toThrow("per_host_thresholds");
  expect(shown()).toEqual([]);
});

test("clusters with one name for their statistics share them until the last has ended", async () => {
  const { clusters, stats } = rig();
  const isShown = (): boolean => stats.counters().has("cluster.shared.upstream_rq_total");
  for (const name of ["a", "b"])
    await clusters.update({ ...staticCluster([1]), name, alt_stat_name: "shared" }, origin);
  clusters.remove("a");
  clusters.sweepStats(stats);
  expect(isShown()).toBe(true);
  clusters.remove("b");
  clusters.sweepStats(stats);
  expect(isShown()).toBe(false);
});

test("lets others work while the statistics of many clusters go", async () => {
  let looks = 0;
  let rests = 0;
  // Each look at the clock takes a tenth of a millisecond.
  const clock = Object.assign(new TestClock(), {
    monotonic: () => looks++ / 10,
    after: (_delayMs: number, run: () => void) => {
      setImmediate(run);
      rests += 1;
      return { close: () => undefined };
    },
  });
  const { clusters, stats } = createRig({ clock });
  const count = 1_000;
  for (let index = 0; index < count; index++) {
    await clusters.update({ name: `c${index}`, type: "STATIC" }, origin);
    clusters.remove(`c${index}`);
  }
  const isShown = (): boolean => [...stats.gauges().keys()].some((name) => name.startsWith("cluster.c"));
  expect(isShown()).toBe(true);
  clusters.sweepStats(stats);
  await vi.waitFor(() => expect(isShown()).toBe(false));
  expect(rests).toBeGreaterThan(count / 25);
});

test("the same content changes nothing, another makes another cluster", async () => {
  const { clusters, stats } = rig();
  await clusters.update(staticCluster([1]), origin);
  const first = clusters.find("a");
  await clusters.update(staticCluster([1]), { ...origin, version: "2" });
  expect(clusters.find("a")).toBe(first);
  await clusters.update(staticCluster([2]), origin);
  expect(clusters.find("a")).not.toBe(first);
  expect(stats.counters().get("cluster_manager.cluster_modified")).toBe(1);
});

test("an EDS cluster warms until its endpoints come, while the former one serves", async () => {
  const { clusters, addresses, stats } = rig();
  await clusters.update(staticCluster([1]), origin);
  const wanted: (readonly string[])[] = [];
  clusters.onWantedEndpoints(() => wanted.push(clusters.wantedEndpoints()));
  const warm = clusters.update(edsCluster, origin);
  await settle();
  expect(wanted).toEqual([["svc"]]);
  expect(addresses()).toEqual(["127.0.0.1:1"]);
  expect(stats.gauges().get("cluster_manager.warming_clusters")).toBe(1);
  clusters.setEndpoints("svc", assignment(endpointOf(7)));
  await warm;
  expect(addresses()).toEqual(["127.0.0.1:7"]);
  const [host] = clusters.find("a")?.listHosts() ?? [];
  clusters.setEndpoints("svc", assignment(endpointOf(7), endpointOf(8)));
  expect(clusters.find("a")?.listHosts()[0]).toBe(host);
  expect(addresses()).toHaveLength(2);
  clusters.setEndpoints("svc", undefined);
  expect(addresses()).toEqual([]);
});

test("a cluster that is made anew takes the endpoints that are known, and going back ends the warming", async () => {
  const { clusters, addresses, stat } = rig();
  const warm = clusters.update(edsCluster, origin);
  clusters.setEndpoints("svc", assignment(endpointOf(7)));
  await warm;
  await clusters.update({ ...edsCluster, connect_timeout: duration(2000) }, origin);
  expect(addresses()).toEqual(["127.0.0.1:7"]);
  expect(stat("assignment_use_cached")).toBe(1);
  const other = clusters.update({ ...edsCluster, eds_cluster_config: { service_name: "other" } }, origin);
  await clusters.update({ ...edsCluster, connect_timeout: duration(2000) }, origin);
  await settle();
  expect(clusters.wantedEndpoints()).toEqual(["svc"]);
  clusters.remove("a");
  expect(clusters.wantedEndpoints()).toEqual([]);
  await Promise.race([other, settle()]);
});

test("an EDS cluster whose endpoints never come is used without any after its time", async () => {
  const { clusters, clock, choose, stat } = rig();
  const warm = clusters.update(edsCluster, origin);
  await settle();
  clock.advance(15_000);
  await warm;
  await expect(choose("a")).rejects.toMatchObject({ failure: "no-healthy-upstream" });
  expect(stat("init_fetch_timeout")).toBe(1);
  expect(stat("upstream_cx_none_healthy")).toBe(1);
});

test("endpoints that cannot be used are refused, and the last ones kept", async () => {
  const { clusters, addresses, stat } = rig();
  const warm = clusters.update(edsCluster, origin);
  clusters.setEndpoints("svc", assignment(endpointOf(7)));
  await warm;
  expect(() => clusters.setEndpoints("svc", assignment(endpointOf(7), endpointOf(8, "name.test")))).toThrow(
    "endpoints[0].lb_endpoints[1].endpoint.address.socket_address.address: malformed IP address: name.test",
  );
  expect(addresses()).toEqual(["127.0.0.1:7"]);
  expect(stat("update_rejected")).toBe(1);
});

test("endpoints that are not confirmed in time are forgotten", async () => {
  const { clusters, addresses, clock, stat } = rig();
  const warm = clusters.update(edsCluster, origin);
  clusters.setEndpoints("svc", { ...assignment(endpointOf(7)), policy: { endpoint_stale_after: duration(1000) } });
  await warm;
  clock.advance(999);
  expect(addresses()).toHaveLength(1);
  clock.advance(1);
  expect(addresses()).toEqual([]);
  expect(stat("assignment_stale")).toBe(1);
});

test("load assignments: health, named endpoints, pipes and drop overloads", async () => {
  const { clusters, choose, addresses, stat } = rig();
  const load_assignment = {
    endpoints: [
      {
        lb_endpoints: [
          { ...endpointOf(1), health_status: "UNHEALTHY" },
          { ...endpointOf(2), health_status: "DEGRADED" },
          { endpoint_name: "three" },
          { endpoint: { address: { pipe: { path: "/tmp/socket" } } } },
        ] satisfies LbEndpoint[],
      },
    ],
    named_endpoints: { three: { address: { socket_address: { address: "::1", port_value: 3 } } } },
  };
  await clusters.update({ ...staticCluster([]), load_assignment }, origin);
  expect(addresses()).toEqual(["/tmp/socket", "127.0.0.1:1", "127.0.0.1:2", "[::1]:3"]);
  expect([stat("membership_healthy"), stat("membership_degraded")]).toEqual([2, 1]);
  const policy = { drop_overloads: [{ category: "all", drop_percentage: { numerator: 100 } }] };
  await clusters.update({ ...staticCluster([]), load_assignment: { ...load_assignment, policy } }, origin);
  await expect(choose("a")).rejects.toMatchObject({ failure: "unconditional-drop-overload" });
});

test("a session's host is taken where it is well enough, and a strict one or none", async () => {
  const { clusters, choose } = rig();
  const load_assignment = assignment({ ...endpointOf(1), health_status: "DRAINING" }, endpointOf(2));
  await clusters.update({ ...staticCluster([]), load_assignment }, origin);
  const wish = { address: "127.0.0.1:1", isStrict: false };
  expect((await choose("a", { override: wish })).port).toBe(2);
  await expect(choose("a", { override: { ...wish, isStrict: true } })).rejects.toBeInstanceOf(UpstreamError);
  const common_lb_config = { override_host_status: { statuses: ["DRAINING" as const] } };
  await clusters.update({ ...staticCluster([]), load_assignment, common_lb_config }, origin);
  expect((await choose("a", { override: wish })).port).toBe(1);
});

const originalDst: Cluster = {
  name: "a",
  type: "ORIGINAL_DST",
  lb_policy: "CLUSTER_PROVIDED",
  original_dst_lb_config: { use_http_header: true },
};

test("ORIGINAL_DST goes where a header says, and forgets hosts that nobody wants", async () => {
  const { clusters, choose, addresses, clock, stat } = rig();
  await clusters.update(originalDst, origin);
  const to = (place: string): { headers: HeaderList } => ({
    headers: new HeaderList(["x-envoy-original-dst-host", place]),
  });
  const host = await choose("a", to("10.1.2.3:80"));
  expect(host).toMatchObject({ address: "10.1.2.3:80", ip: "10.1.2.3", port: 80 });
  expect(await choose("a", to("10.1.2.3:80"))).toBe(host);
  await expect(choose("a", to("nonsense"))).rejects.toMatchObject({ failure: "no-healthy-upstream" });
  await expect(choose("a")).rejects.toMatchObject({ failure: "no-healthy-upstream" });
  expect(stat("original_dst_host_invalid")).toBe(1);
  clock.advance(5000);
  expect(addresses()).toHaveLength(1);
  clock.advance(5000);
  expect(addresses()).toEqual([]);
});

const aggregateOf = (...names: readonly string[]): Cluster => ({
  name: "a",
  lb_policy: "CLUSTER_PROVIDED",
  cluster_type: {
    name: "envoy.clusters.aggregate",
    typed_config: packAny("envoy.extensions.clusters.aggregate.v3.ClusterConfig", { clusters: names }),
  },
});

test("an aggregate fills its clusters in their order, and sends over theirs", async () => {
  const { clusters, choose, stats } = rig();
  const port = await startServer("one");
  const first = { ...staticCluster([port]), name: "first" };
  await clusters.update(first, origin);
  await clusters.update({ ...staticCluster([2]), name: "second" }, origin);
  await clusters.update(aggregateOf("first", "gone", "second"), origin);
  const host = await choose("a");
  expect(host.port).toBe(port);
  const response = await clusters.find("a")?.send(host, getRequest(), "DEFAULT").response;
  expect(response?.status).toBe(200);
  if (response?.body) await collect(response.body, 100);
  expect(stats.counters().get("cluster.first.upstream_rq_total")).toBe(1);
  await clusters.update({ ...first, load_assignment: assignment() }, origin);
  expect((await choose("a")).port).toBe(2);
});

test("an aggregate passes a hash on that is worked out when it is asked for", async () => {
  const { clusters, choose } = rig();
  const ports = Array.from({ length: 8 }, (_, index) => index + 1);
  await clusters.update({ ...staticCluster(ports, { lb_policy: "RING_HASH" }), name: "first" }, origin);
  await clusters.update(aggregateOf("first"), origin);
  const context = new (class {
    get hash(): bigint {
      return 77n;
    }
  })();
  const { port } = await choose("first", { hash: 77n });
  for (let turn = 0; turn < 5; turn += 1) expect((await choose("a", context)).port).toBe(port);
});

test("circuit breakers count by priority, and say when they are open", async () => {
  const { clusters, stat } = rig();
  const circuit_breakers = {
    thresholds: [
      { max_requests: u32(1), max_retries: u32(0), track_remaining: true },
      { priority: "HIGH" as const, retry_budget: { min_retry_concurrency: u32(2) } },
    ],
  };
  await clusters.update(staticCluster([1], { circuit_breakers }), origin);
  const cluster = clusters.find("a");
  const requests = cluster?.breakers("DEFAULT").requests;
  expect([requests?.take(), requests?.take()]).toEqual([true, false]);
  expect(stat("circuit_breakers.default.rq_open")).toBe(1);
  expect(stat("circuit_breakers.default.remaining_rq")).toBe(0);
  expect(stat("upstream_rq_active_overflow")).toBe(1);
  requests?.release();
  expect(stat("circuit_breakers.default.rq_open")).toBe(0);
  expect(cluster?.breakers("DEFAULT").retries.take()).toBe(false);
  expect(stat("upstream_rq_retry_overflow")).toBe(1);
  const high = cluster?.breakers("HIGH");
  expect([high?.retries.take(), high?.retries.take(), high?.retries.take()]).toEqual([true, true, false]);
  for (let count = 0; count < 15; count += 1) high?.requests.take();
  expect(high?.retries.take()).toBe(true);
});

test("a retry budget may count the requests of a while, also those that are over", async () => {
  const { clusters, clock } = rig();
  const retry_budget = {
    budget_percent: { value: 50 },
    min_retry_concurrency: u32(0),
    budget_interval: duration(10_000),
  };
  await clusters.update(staticCluster([1], { circuit_breakers: { thresholds: [{ retry_budget }] } }), origin);
  const { requests, retries } = need(clusters.find("a")).breakers("DEFAULT");
  for (let count = 0; count < 4; count += 1) {
    requests.take();
    requests.release();
  }
  clock.advance(8000);
  expect([retries.take(), retries.take(), retries.take()]).toEqual([true, true, false]);
  for (let count = 0; count < 2; count += 1) retries.release();
  clock.advance(4000);
  expect(retries.take()).toBe(false);
});

test("requests are counted as long as their answers go on, and a former cluster ends after them", async () => {
  const { clusters, choose } = rig();
  const port = await startServer("x".repeat(1000));
  await clusters.update(staticCluster([port]), origin);
  const former = clusters.find("a");
  const host = await choose("a");
  const response = await former?.send(host, getRequest(), "DEFAULT").response;
  expect(host.activeRequests).toBe(1);
  await clusters.update(staticCluster([port], { connect_timeout: duration(3000) }), origin);
  const { bytes } = response?.body ? await collect(response.body, 2000) : { bytes: new Uint8Array() };
  expect(bytes).toHaveLength(1000);
  expect(host.activeRequests).toBe(0);
});

test("a former cluster ends after connections that are only being opened, too", async () => {
  const { clusters, choose } = rig();
  const port = await startServer("");
  await clusters.update(staticCluster([port]), origin);
  const former = need(clusters.find("a"));
  const host = await choose("a");
  const opened = former.connect(host, {});
  await clusters.update(staticCluster([port], { connect_timeout: duration(3000) }), origin);
  const { stream, close } = await opened;
  expect([stream.destroyed, host.activeRequests]).toEqual([false, 1]);
  const closed = new Promise((resolve) => stream.once("close", resolve));
  close();
  await closed;
  expect(host.activeRequests).toBe(0);
  await expect(former.connect(host, { signal: AbortSignal.abort() })).rejects.toThrow(UpstreamError);
  expect(host.activeRequests).toBe(0);
});

test("a host that fails is ejected, and comes back", async () => {
  const { clusters, clock, stat } = rig();
  const outlier_detection = {
    consecutive_5xx: u32(2),
    interval: duration(1000),
    base_ejection_time: duration(5000),
    max_ejection_percent: u32(50),
  };
  const port = await startServer("no", 500);
  await clusters.update(staticCluster([port, 1], { outlier_detection }), origin);
  const cluster = need(clusters.find("a"));
  const bad = need(cluster.listHosts().find((host) => host.port === port));
  await send(cluster, bad);
  expect(bad.health).toBe("healthy");
  await send(cluster, bad);
  expect(bad.health).toBe("unhealthy");
  expect(stat("membership_healthy")).toBe(1);
  expect(stat("outlier_detection.ejections_active")).toBe(1);
  expect(stat("outlier_detection.ejections_enforced_consecutive_5xx")).toBe(1);
  const other = need(cluster.listHosts().find((host) => host.port === 1));
  for (let count = 0; count < 2; count += 1) cluster.report(other, { kind: "local-failure", failure: "timeout" });
  expect(other.health).toBe("healthy");
  expect(stat("outlier_detection.ejections_overflow")).toBe(1);
  clock.advance(4000);
  expect(bad.health).toBe("unhealthy");
  clock.advance(2000);
  expect(bad.health).toBe("healthy");
  expect(stat("outlier_detection.ejections_active")).toBe(0);
});

test("connections that fail count against a host", async () => {
  const { clusters, stat } = rig();
  const port = await startServer("");
  await closers.pop()?.();
  const outlier_detection = {
    split_external_local_origin_errors: true,
    consecutive_local_origin_failure: u32(1),
    max_ejection_percent: u32(100),
  };
  await clusters.update(staticCluster([port], { outlier_detection }), origin);
  const cluster = need(clusters.find("a"));
  const [host] = cluster.listHosts();
  await expect(cluster.send(need(host), getRequest(), "DEFAULT").response).rejects.toMatchObject({
    failure: "connection-failure",
  });
  expect(host?.health).toBe("unhealthy");
  expect(stat("outlier_detection.ejections_enforced_consecutive_local_origin_failure")).toBe(1);
});

test("a cluster may say itself which answers are errors", async () => {
  const { clusters } = rig();
  const port = await startServer("slow down", 429);
  const key = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
  const error_matcher = {
    http_response_headers_match: { headers: [{ name: ":status", string_match: { exact: "429" } }] },
  };
  const overrides: Cluster = {
    outlier_detection: { consecutive_5xx: u32(1), max_ejection_percent: u32(100) },
    typed_extension_protocol_options: {
      [key]: packAny(key, {
        explicit_http_config: { http_protocol_options: {} },
        outlier_detection: { error_matcher },
      }),
    },
  };
  await clusters.update(staticCluster([port], overrides), origin);
  const cluster = need(clusters.find("a"));
  const host = need(cluster.listHosts()[0]);
  await send(cluster, host);
  expect(host.health).toBe("unhealthy");
});

test("always_eject_one_host ejects one beyond the percentage", async () => {
  const { clusters } = rig();
  const outlier_detection = {
    consecutive_5xx: u32(1),
    always_eject_one_host: bool(true),
    max_ejection_percent: u32(1),
  };
  await clusters.update(staticCluster([1, 2], { outlier_detection }), origin);
  const cluster = need(clusters.find("a"));
  for (const host of cluster.listHosts()) cluster.report(host, { kind: "status", status: 503 });
  expect(
    cluster
      .listHosts()
      .map(({ health }) => health)
      .sort(),
  ).toEqual(["healthy", "unhealthy"]);
});

async function send(cluster: UpstreamCluster, host: Host): Promise<void> {
  const { body } = await cluster.send(host, getRequest(), "DEFAULT").response;
  if (body) await collect(body, 10_000);
}

function need<Value>(value: Value | undefined): Value {
  if (value === undefined) throw new Error("it is not there");
  return value;
}

/** The port of a server that always answers so. */
async function startServer(text: string, status = 200): Promise<number> {
  const server: Server = createServer((_request, response) => response.writeHead(status).end(text));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return (server.address() as AddressInfo).port;
}
