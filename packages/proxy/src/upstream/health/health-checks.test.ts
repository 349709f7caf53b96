import { createServer } from "node:http";
import { createServer as createHttp2Server } from "node:http2";
import { type AddressInfo, createServer as createTcpServer, type Server } from "node:net";
import { duration, encode, u32 } from "@meltemi/protos";
import type { Cluster } from "@meltemi/protos/envoy/config/cluster/v3";
import type { HealthCheck } from "@meltemi/protos/envoy/config/core/v3";
import { afterEach, expect, test } from "vitest";
import { until } from "../../../../../test/support/until.ts";
import { type ClusterRig, createRig, origin, settle, staticCluster } from "../testing/cluster-rig.ts";
import type { Host } from "../types.ts";
import { compileHealthChecks } from "./health-checks.ts";
import { hasAll } from "./tcp-check.ts";

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const base: HealthCheck = {
  interval: duration(1000),
  no_traffic_interval: duration(1000),
  timeout: duration(500),
  healthy_threshold: u32(2),
  unhealthy_threshold: u32(3),
};

async function start(
  check: HealthCheck,
  port: number,
  overrides: Cluster = {},
): Promise<{ rig: ClusterRig; host: Host }> {
  const rig = createRig();
  closers.push(async () => {
    await rig.clusters.close();
    expect(rig.clock.running).toBe(0);
  });
  await rig.clusters.update(staticCluster([port], { health_checks: [{ ...base, ...check }], ...overrides }), origin);
  const [host] = rig.clusters.find("a")?.listHosts() ?? [];
  if (host === undefined) throw new Error("there is no host");
  return { rig, host };
}

/** Moves on to the next check, and waits until it is over. */
async function next({ clock, stat }: ClusterRig): Promise<void> {
  const done = (): number => (stat("health_check.success") ?? 0) + (stat("health_check.failure") ?? 0);
  const before = done();
  clock.advance(1000);
  await until("a check is over", () => done() > before);
  await settle();
}

test("HTTP: the first answer counts at once, further changes take their thresholds", async () => {
  const server = { status: 200, headers: {} as Record<string, string>, asked: [] as string[] };
  const port = await listen(
    createServer((request, response) => {
      server.asked.push(
        `${request.method} ${request.url} ${request.headers.host} ${request.headers["user-agent"]} ${request.headers["x-who"]}`,
      );
      response.writeHead(server.status, server.headers).end("text");
    }),
  );
  const http_health_check = {
    path: "/health",
    host: "check.test",
    retriable_statuses: [{ start: 500, end: 501 }],
    request_headers_to_add: [{ header: { key: "X-Who", value: "me" } }],
  };
  const { rig, host } = await start({ http_health_check }, port);
  expect(host.health).toBe("healthy");
  expect(server.asked).toEqual(["GET /health check.test Envoy/HC me"]);
  expect(rig.stat("health_check.healthy")).toBe(1);
  // Requests of checks are none of the cluster's.
  expect(rig.stat("upstream_rq_total") ?? 0).toBe(0);
  server.status = 503;
  await next(rig);
  expect(host.health).toBe("unhealthy");
  expect(rig.stat("membership_healthy")).toBe(0);
  server.status = 200;
  await next(rig);
  expect(host.health).toBe("unhealthy");
  await next(rig);
  expect(host.health).toBe("healthy");
  server.status = 500;
  await next(rig);
  await next(rig);
  expect(host.health).toBe("healthy");
  await next(rig);
  expect(host.health).toBe("unhealthy");
  server.status = 200;
  server.headers = { "x-envoy-degraded": "true" };
  await next(rig);
  await next(rig);
  expect(host.health).toBe("degraded");
  expect(rig.stat("health_check.degraded")).toBe(1);
});

test("a host that does not answer fails after its threshold, and a cluster warms nonetheless", async () => {
  const port = await listen(createTcpServer(() => undefined));
  const rig = createRig();
  closers.push(() => rig.clusters.close());
  const health_checks = [{ ...base, http_health_check: { path: "/" } }];
  const warm = rig.clusters.update(staticCluster([port], { health_checks }), origin);
  await settle();
  expect(rig.clusters.find("a")).toBeUndefined();
  rig.clock.advance(500);
  await warm;
  expect(rig.stat("health_check.network_failure")).toBe(1);
  expect(rig.clusters.find("a")?.listHosts()[0]?.health).toBe("unhealthy");
});

test("connections of checks end when their host goes", async () => {
  const server = createServer({ keepAliveTimeout: 60_000 }, (_request, response) => response.end());
  let open = 0;
  server.on("connection", (socket) => {
    open += 1;
    socket.on("close", () => {
      open -= 1;
    });
  });
  const port = await listen(server);
  const rig = createRig();
  closers.push(() => rig.clusters.close());
  const health_checks = [{ ...base, http_health_check: { path: "/" } }];
  const wire: Cluster = { name: "a", type: "EDS", health_checks, ignore_health_on_host_removal: true };
  const warm = rig.clusters.update(wire, origin);
  rig.clusters.setEndpoints("a", staticCluster([port]).load_assignment);
  await warm;
  expect([rig.addresses().length, open]).toEqual([1, 1]);
  rig.clusters.setEndpoints("a", staticCluster([]).load_assignment);
  expect(rig.addresses()).toEqual([]);
  await until("the connection is closed", () => open === 0);
});

test("hosts that pass stay when they are no longer named, until they fail", async () => {
  const server = { status: 200 };
  const port = await listen(createServer((_request, response) => response.writeHead(server.status).end()));
  const rig = createRig();
  closers.push(() => rig.clusters.close());
  const health_checks = [{ ...base, http_health_check: { path: "/" } }];
  const warm = rig.clusters.update({ name: "a", type: "EDS", health_checks }, origin);
  const { load_assignment } = staticCluster([port]);
  rig.clusters.setEndpoints("a", load_assignment);
  await warm;
  rig.clusters.setEndpoints("a", undefined);
  expect(rig.addresses()).toEqual([`127.0.0.1:${port}`]);
  server.status = 503;
  await next(rig);
  expect(rig.addresses()).toEqual([]);
});

test("TCP: bytes that are sent, and pieces that are waited for", async () => {
  const server = { answer: "hello world" };
  const port = await listen(createTcpServer((socket) => socket.on("data", () => socket.write(server.answer))));
  const hex = (text: string): { text: string } => ({ text: Buffer.from(text).toString("hex") });
  const tcp_health_check = { send: hex("ping"), receive: [hex("hello"), hex("world")] };
  const { rig, host } = await start({ tcp_health_check, unhealthy_threshold: u32(1) }, port);
  expect(host.health).toBe("healthy");
  server.answer = "world";
  rig.clock.advance(1000);
  await until("it was asked again", () => rig.stat("health_check.attempt") === 2);
  rig.clock.advance(500);
  await until("it failed", () => host.health === "unhealthy");
  expect(hasAll(Buffer.from("abc"), [Buffer.from("b"), Buffer.from("a")])).toBe(false);
});

test("gRPC: SERVING is healthy, anything else is not", async () => {
  const server = { status: "SERVING" as "SERVING" | "NOT_SERVING", path: "" };
  const http2 = createHttp2Server((request, response) => {
    server.path = request.url;
    const message = encode("grpc.health.v1.HealthCheckResponse", { status: server.status });
    const head = Buffer.alloc(5);
    head.writeUInt32BE(message.length, 1);
    response.writeHead(200, { "content-type": "application/grpc" });
    response.addTrailers({ "grpc-status": "0" });
    response.end(Buffer.concat([head, message]));
  });
  http2.on("session", (session) => closers.push(() => session.destroy()));
  const port = await listen(http2);
  const { rig, host } = await start({ grpc_health_check: { service_name: "x" } }, port);
  expect(server.path).toBe("/grpc.health.v1.Health/Check");
  expect(host.health).toBe("healthy");
  server.status = "NOT_SERVING";
  await next(rig);
  expect(host.health).toBe("unhealthy");
});

test("a host that is not to be checked is healthy, and another port may be asked", async () => {
  const port = await listen(createServer((_request, response) => response.writeHead(200).end()));
  const health_checks = [{ ...base, http_health_check: { path: "/" } }];
  const endpoints = [
    { health_check_config: { port_value: port }, place: 1 },
    { health_check_config: { disable_active_health_check: true }, place: 2 },
  ].map(({ health_check_config, place }) => ({
    endpoint: { address: { socket_address: { address: "127.0.0.1", port_value: place } }, health_check_config },
  }));
  const rig = createRig();
  closers.push(() => rig.clusters.close());
  const load_assignment = { endpoints: [{ lb_endpoints: endpoints }] };
  await rig.clusters.update(staticCluster([], { health_checks, load_assignment }), origin);
  expect(
    rig.clusters
      .find("a")
      ?.listHosts()
      .map(({ health }) => health),
  ).toEqual(["healthy", "healthy"]);
  expect(rig.stat("health_check.attempt")).toBe(1);
});

test.each<[HealthCheck, string]>([
  [{}, "interval: is required"],
  [{ ...base, http_health_check: {} }, "http_health_check.path: is required"],
  [
    { ...base, http_health_check: { path: "/", expected_statuses: [{ start: 200, end: 200 }] } },
    "expected_statuses[0]",
  ],
  [{ ...base, tcp_health_check: { send: { text: "xyz" } } }, "tcp_health_check.send.text"],
  [{ ...base, custom_health_check: { name: "redis" } }, "custom_health_check: redis"],
  [{ ...base, tcp_health_check: {}, tls_options: {} }, "tls_options"],
])("refused: %j", (check, message) => {
  expect(() => compileHealthChecks({ name: "a", health_checks: [check] })).toThrow(message);
});

async function listen(server: Server): Promise<number> {
  const sockets = new Set<{ destroy(): void }>();
  server.on("connection", (socket) => sockets.add(socket));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(resolve));
  });
  return (server.address() as AddressInfo).port;
}
