/** Section A of the checklist: streams and their transport, in both variants. */
import { connect as connectTcp, createServer, type Socket } from "node:net";
import { decode, encode } from "@meltemi/protos";
import { expect, onTestFinished, vi } from "vitest";
import type { Variant } from "../support/xds-client.ts";
import { openUnread, XdsClient } from "../support/xds-client.ts";
import { cases, startRig } from "../support/xds-client-cases.ts";
import { nodeOf, type RigOptions, type TableType, typeUrls, type XdsRig } from "../support/xds-client-rig.ts";
import { DeltaSession, SotwSession } from "../support/xds-client-session.ts";

const variants: readonly Variant[] = ["sotw", "delta"];
const invalidArgument = 3;
const resourceExhausted = 8;
const unavailable = 14;

async function startFilled(options: RigOptions = {}): Promise<XdsRig> {
  const rig = await startRig(options);
  rig.set("cds", "a", 1).set("lds", "a", 1).set("eds", "a", 1).set("rds", "a", 1).commit();
  return rig;
}

/** Fails where the server does not serve a new proxy. */
async function expectServing(rig: XdsRig): Promise<void> {
  const session = new SotwSession(rig, "cds");
  expect((await session.begin([])).names).toEqual(["a"]);
}

cases.add(
  "A-1",
  "both methods and the health service answer (over TLS: security.test.ts)",
  variants,
  async (variant) => {
    const rig = await startFilled();
    const session = variant === "sotw" ? new SotwSession(rig, "cds") : new DeltaSession(rig, "cds");
    if (session instanceof SotwSession) await session.begin([]);
    else await session.begin({});
    const request = encode("grpc.health.v1.HealthCheckRequest", {});
    const answer = await rig.connect().call("/grpc.health.v1.Health/Check", request);
    expect(decode("grpc.health.v1.HealthCheckResponse", answer).status).toBe("SERVING");
  },
);

cases.add("A-2", "a first request without a node ends that stream alone", variants, async (variant) => {
  const rig = await startFilled();
  for (const node of [undefined, {}, { id: "" }]) {
    const stream = rig.open(variant);
    stream.send({ type_url: typeUrls.cds, node });
    const status = await stream.ended;
    expect([status.code, status.details]).toEqual([invalidArgument, "missing node information"]);
  }
  await expectServing(rig);
});

cases.add("A-3", "the node comes with the first request alone", variants, async (variant) => {
  const rig = await startFilled();
  const stream = rig.open(variant);
  stream.send({ type_url: typeUrls.cds, node: nodeOf() });
  expect((await stream.next()).names).toEqual(["a"]);
  for (const type of ["lds", "eds", "rds"] as const) {
    if (variant === "sotw") stream.send({ type_url: typeUrls[type], resource_names: ["a"] });
    else stream.send({ type_url: typeUrls[type], resource_names_subscribe: ["a"] });
    expect((await stream.next()).names).toEqual(["a"]);
  }
});

cases.add("A-4", "of two nodes on a stream the first counts", variants, async (variant) => {
  const rig = await startFilled();
  rig.set("lds", "other", 1, "elsewhere").commit();
  const stream = rig.open(variant);
  stream.send({ type_url: typeUrls.cds, node: nodeOf() });
  await stream.next();
  stream.send({ type_url: typeUrls.lds, node: nodeOf("b", "elsewhere") });
  expect((await stream.next()).names).toEqual(["a"]);
  expect(rig.server.debug.listConnections().map(({ proxy }) => proxy.nodeId)).toEqual([nodeOf().id]);
});

cases.add("A-5", "a request without a type ends the stream", variants, async (variant) => {
  const rig = await startFilled();
  const stream = rig.open(variant);
  stream.send({ node: nodeOf() });
  expect((await stream.ended).code).toBe(invalidArgument);
  await expectServing(rig);
});

cases.add("A-6", "an unknown type harms no other", variants, async (variant) => {
  const rig = await startFilled();
  const stream = rig.open(variant);
  stream.send({ node: nodeOf(), type_url: "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret" });
  stream.send({ type_url: "nonsense" });
  stream.send({ type_url: typeUrls.cds });
  expect((await stream.next()).typeUrl).toBe(typeUrls.cds);
});

cases.add("A-7", "a malformed node id is refused with the reason", variants, async (variant) => {
  const rig = await startFilled();
  for (const id of [
    "",
    "a",
    "sidecar~~~",
    "sidecar~x~a.b~c",
    "a~b~c~d~e",
    "~".repeat(1000),
    "unknown~10.0.0.1~a.b~c.svc",
  ]) {
    const stream = rig.open(variant);
    stream.send({ node: { id }, type_url: typeUrls.cds });
    const status = await stream.ended;
    expect(status.code).toBe(invalidArgument);
    expect(status.details).toMatch(/node/);
  }
  await expectServing(rig);
});

cases.add("A-8", "a client that sends no more ends the stream well and frees it", variants, async (variant) => {
  const rig = await startFilled();
  const stream = rig.open(variant);
  stream.send({ node: nodeOf(), type_url: typeUrls.cds });
  await stream.next();
  expect(rig.server.debug.listConnections()).toHaveLength(1);
  stream.halfClose();
  expect((await stream.ended).code).toBe(0);
  expect(rig.server.debug.listConnections()).toEqual([]);
});

cases.add("A-9", "a connection that breaks off frees its stream", variants, async (variant) => {
  const rig = await startFilled();
  const proxy = await startProxy(rig);
  const client = new XdsClient(proxy.address);
  onTestFinished(() => client.close());
  const stream = client.open(variant);
  stream.send({ node: nodeOf(), type_url: typeUrls.cds });
  await stream.next();
  for (const socket of proxy.sockets) socket.resetAndDestroy();
  await vi.waitFor(() => expect(rig.server.debug.listConnections()).toEqual([]));
  const cancelled = rig.open(variant);
  cancelled.send({ node: nodeOf(), type_url: typeUrls.cds });
  await cancelled.next();
  cancelled.cancel();
  await vi.waitFor(() => expect(rig.server.debug.listConnections()).toEqual([]));
});

cases.addNotOffered("A-10", "there are no services for single types", async () => {
  const rig = await startFilled();
  const client = rig.connect();
  for (const [service, method] of [
    ["cluster.v3.ClusterDiscoveryService", "FetchClusters"],
    ["endpoint.v3.EndpointDiscoveryService", "FetchEndpoints"],
    ["listener.v3.ListenerDiscoveryService", "FetchListeners"],
    ["route.v3.RouteDiscoveryService", "FetchRoutes"],
  ]) {
    const call = client.call(`/envoy.service.${service}/${method}`, new Uint8Array());
    await expect(call).rejects.toMatchObject({ code: 12, details: expect.stringContaining("does not implement") });
  }
});

cases.add("A-11", "a thousand requests of a client that does not read harm nobody", variants, async (variant) => {
  const rig = await startBig();
  const ask = { node: nodeOf(), type_url: typeUrls.cds };
  const unread = openUnread(
    rig.address,
    variant,
    Array.from({ length: 1000 }, () => ask),
  );
  await vi.waitFor(() => expect(rig.server.debug.listConnections()).toHaveLength(1));
  const before = process.memoryUsage().arrayBuffers;
  const other = new SotwSession(rig, "cds");
  await other.begin([]);
  // One response of the client that does not read is under way, not a thousand.
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(100_000_000);
  unread.close();
});

cases.add("A-12", "a client that never reads is cut off", variants, async (variant) => {
  const rig = await startBig({ limits: { stallMs: 50, sendTimeoutMs: 300 } });
  const unread = openUnread(rig.address, variant, [{ node: nodeOf(), type_url: typeUrls.cds }]);
  await vi.waitFor(() => expect(rig.counters.get("pilot_xds_write_timeout ")).toBe(1), { timeout: 5000 });
  expect(rig.server.debug.listConnections()).toEqual([]);
  await unread.closed;
  await new SotwSession(rig, "cds").begin([]);
  unread.close();
});

cases.add("A-13", "two streams of one node are served, and end, on their own", variants, async (variant) => {
  const rig = await startFilled();
  const streams = [rig.open(variant), rig.open(variant)];
  for (const stream of streams) stream.send({ node: nodeOf(), type_url: typeUrls.cds });
  const [first, second] = streams;
  const response = await second?.next();
  await first?.next();
  second?.send({ type_url: typeUrls.cds, response_nonce: response?.nonce ?? "" });
  first?.halfClose();
  await first?.ended;
  rig.set("cds", "a", 2).commit();
  expect((await second?.next())?.names).toEqual(["a"]);
});

cases.add("A-14", "a request that is too large ends that stream alone", variants, async (variant) => {
  const rig = await startFilled();
  const client = rig.connect();
  const large = client.open(variant);
  const other = client.open(variant);
  other.send({ node: nodeOf(), type_url: typeUrls.cds });
  await other.next();
  large.send({ node: { ...nodeOf(), cluster: "x".repeat(5 * 1024 * 1024) }, type_url: typeUrls.cds });
  expect((await large.ended).code).toBe(resourceExhausted);
  other.send({ type_url: typeUrls.lds });
  expect((await other.next()).typeUrl).toBe(typeUrls.lds);
});

cases.add("A-15", "a peer that is dead is noticed", variants, async (variant) => {
  // The default is 30 s and 10 s; the mechanism is the same.
  const rig = await startFilled({ grpcLimits: { keepaliveIntervalMs: 200, keepaliveTimeoutMs: 200 } });
  const proxy = await startProxy(rig);
  const client = new XdsClient(proxy.address);
  onTestFinished(() => client.close());
  const stream = client.open(variant);
  stream.send({ node: nodeOf(), type_url: typeUrls.cds });
  await stream.next();
  proxy.swallow();
  await vi.waitFor(() => expect(rig.server.debug.listConnections()).toEqual([]), { timeout: 10_000 });
});

cases.add("A-16", "a server that stops ends its streams and refuses new ones", variants, async (variant) => {
  const rig = await startFilled();
  const client = rig.connect();
  const stream = client.open(variant);
  stream.send({ node: nodeOf(), type_url: typeUrls.cds });
  await stream.next();
  const stopped = rig.server.stop();
  expect((await stream.ended).code).toBe(unavailable);
  await stopped;
  const late = rig.open(variant);
  late.send({ node: nodeOf(), type_url: typeUrls.cds });
  expect((await late.ended).code).toBe(unavailable);
});

cases.add("A-17", "every response says who answers", variants, async (variant) => {
  const rig = await startFilled();
  const stream = rig.open(variant);
  stream.send({ node: nodeOf(), type_url: typeUrls.cds });
  const { controlPlane } = await stream.next();
  expect(JSON.parse(controlPlane)).toEqual({ Component: "meltemi", ID: "rig", Info: { version: "test" } });
});

cases.add(
  "A-18",
  "responses have nonces and the type of their resources",
  ["cds", "lds", "eds", "rds"] as const,
  async (type: TableType) => {
    const rig = await startFilled();
    for (const session of [new SotwSession(rig, type), new DeltaSession(rig, type)]) {
      const response =
        session instanceof SotwSession ? await session.begin(["a"]) : await session.begin({ subscribe: ["a"] });
      expect(response.nonce).not.toBe("");
      expect(response.typeUrl).toBe(typeUrls[type]);
      expect(response.resources.map(({ typeUrl }) => typeUrl)).toEqual([typeUrls[type]]);
    }
  },
);

cases.add("F-12", "bytes that are no request end the stream alone", variants, async (variant) => {
  const rig = await startFilled();
  for (const bytes of [
    Buffer.from([0xff]),
    Buffer.from("ff".repeat(50), "hex"),
    Buffer.from([0x0a, 0xff, 0xff, 0xff]),
  ]) {
    const stream = rig.open(variant);
    stream.sendBytes(bytes);
    expect((await stream.ended).code).toBe(invalidArgument);
  }
  await expectServing(rig);
});

/** A rig whose clusters do not fit into the window of a client that does not read. */
async function startBig(options: RigOptions = {}): Promise<XdsRig> {
  const rig = await startRig(options);
  for (let index = 0; index < 1000; index++) rig.set("cds", `${"n".repeat(2000)}${index}`, 1);
  rig.commit();
  return rig;
}

/** A TCP forwarder, so that a connection can break off or go silent under a client that knows nothing of it. */
async function startProxy(rig: XdsRig) {
  const sockets: Socket[] = [];
  const [host = "", port = ""] = rig.address.split(":");
  const server = createServer((downstream) => {
    const upstream = connectTcp(Number(port), host);
    sockets.push(upstream);
    downstream.pipe(upstream).pipe(downstream);
    for (const socket of [downstream, upstream]) socket.on("error", () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const bound = server.address();
  if (bound === null || typeof bound === "string") throw new Error("no port");
  return {
    address: `127.0.0.1:${bound.port}`,
    sockets,
    swallow: () => {
      for (const socket of sockets) {
        socket.unpipe();
        socket.removeAllListeners("data");
        socket.resume();
      }
    },
  };
}
