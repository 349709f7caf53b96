import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { u32 } from "@meltemi/protos";
import { afterEach, expect, test } from "vitest";
import { until } from "../../../../test/support/until.ts";
import { collect } from "../http/body.ts";
import { assignment, createRig, endpointOf, getRequest, origin, staticCluster } from "./testing/cluster-rig.ts";
import type { UpstreamCluster } from "./types.ts";

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

function rig(): ReturnType<typeof createRig> & { find(): UpstreamCluster } {
  const created = createRig();
  closers.push(() => created.clusters.close());
  const find = (): UpstreamCluster => {
    const cluster = created.clusters.find("a");
    if (cluster === undefined) throw new Error("there is no cluster");
    return cluster;
  };
  return { ...created, find };
}

async function startServer(): Promise<number> {
  const server: Server = createServer((_request, response) => response.end("x"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(async () => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

test("hosts that discovery drains are counted apart, and get nothing while others are well", async () => {
  const { clusters, stat, choose } = rig();
  const draining = [2, 3].map((port) => ({ ...endpointOf(port), health_status: "DRAINING" as const }));
  await clusters.update({ ...staticCluster([]), load_assignment: assignment(endpointOf(1), ...draining) }, origin);
  const names = ["membership_total", "membership_healthy", "membership_excluded"];
  expect(names.map(stat)).toEqual([3, 1, 2]);
  for (let turn = 0; turn < 12; turn += 1) expect((await choose("a")).port).toBe(1);
  expect(stat("lb_healthy_panic")).toBe(0);
});

test("sizes of rings and tables show before anybody asks for a host", async () => {
  const { clusters, stat } = rig();
  await clusters.update(staticCluster([1, 2], { lb_policy: "RING_HASH" }), origin);
  expect(stat("ring_hash_lb.size")).toBe(1024);
  await clusters.update(staticCluster([1, 2], { lb_policy: "MAGLEV" }), origin);
  expect(stat("maglev_lb.min_entries_per_host")).toBe(32_768);
});

test("a host that fails keeps its numbers and loses its connections that have nothing to do", async () => {
  const { clusters, stat, find } = rig();
  const outlier_detection = { consecutive_5xx: u32(1), max_ejection_percent: u32(100) };
  await clusters.update(staticCluster([await startServer()], { outlier_detection }), origin);
  const [host] = find().listHosts();
  if (host === undefined) throw new Error("there is no host");
  const { body } = await find().send(host, getRequest(), "DEFAULT").response;
  if (body) await collect(body, 100);
  expect(stat("upstream_cx_active")).toBe(1);
  find().report(host, { kind: "status", status: 503 });
  expect(host.health).toBe("unhealthy");
  await until("the connection is closed", () => stat("upstream_cx_active") === 0);
  expect(stat("upstream_cx_destroy_local")).toBe(1);
  expect(find().describeHost?.(host)).toMatchObject({ cx_total: 1, rq_total: 1 });
});

test("dropping a part of all requests is not dropping all of them", async () => {
  const { clusters, choose } = rig();
  const drop = async (numerator: number): Promise<void> => {
    const drop_overloads = [{ category: "x", drop_percentage: { numerator, denominator: "MILLION" as const } }];
    const load_assignment = { ...assignment(endpointOf(1)), policy: { drop_overloads } };
    await clusters.update({ ...staticCluster([]), load_assignment }, origin);
  };
  await drop(999_999);
  await expect(choose("a")).rejects.toMatchObject({ failure: "drop-overload" });
  await drop(1_000_000);
  await expect(choose("a")).rejects.toMatchObject({ failure: "unconditional-drop-overload" });
});
