import { Client, type ClientDuplexStream, credentials } from "@grpc/grpc-js";
import { decode, encode, packAny, typeUrl } from "@meltemi/protos";
import type { Any } from "@meltemi/protos/google/protobuf";
import { afterEach, describe, expect, it } from "vitest";
import { systemClock } from "../lib/clock.ts";
import { createStatsRegistry } from "../lib/create-stats.ts";
import { silentLog } from "../lib/log.ts";
import { adsMethods, resourceTypes } from "./resource-types.ts";
import type { ResourceHandler, ResourceUpdate } from "./resource-update.ts";
import type { Rejection } from "./subscription-state.ts";
import { startTestControlPlane, type TestControlPlane } from "./test-control-plane.ts";
import { type MessageStreamEvents, type OpenStream, XdsClient } from "./xds-client.ts";

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
});

/** Streams by grpc-js: the client under test knows nothing of what carries its messages. */
function openBy(client: Client): OpenStream {
  const same = (bytes: Uint8Array): Buffer => Buffer.from(bytes);
  return (method, events) => {
    const call: ClientDuplexStream<Uint8Array, Uint8Array> = client.makeBidiStreamRequest(
      method,
      same,
      (bytes) => bytes,
    );
    let isOver = false;
    const end = (reason: string): void => {
      if (!isOver) events.onEnd(reason);
      isOver = true;
    };
    call.on("data", (bytes: Uint8Array) => isOver || events.onMessage([bytes]));
    call.on("error", (cause) => end(cause.message));
    call.on("end", () => end("end"));
    return {
      send: (bytes) => call.write(bytes),
      whenSent: undefined,
      resume: () => undefined,
      close: () => {
        isOver = true;
        call.cancel();
      },
    };
  };
}

/** Keeps what it is given, and refuses resources whose name begins with "bad". */
class Recorder implements ResourceHandler {
  readonly updates: ResourceUpdate[] = [];
  failures = 0;

  apply(update: ResourceUpdate): Promise<readonly Rejection[]> {
    this.updates.push(update);
    const bad = update.resources.filter(({ name }) => name.startsWith("bad"));
    return Promise.resolve(bad.map(({ name }) => ({ resource: `Cluster ${name}`, reason: "lb_policy: is bad" })));
  }

  failed(): void {
    this.failures += 1;
  }

  get names(): readonly (readonly string[])[] {
    return this.updates.map(({ resources }) => resources.map(({ name }) => name));
  }
}

interface Started {
  readonly server: TestControlPlane;
  readonly client: XdsClient;
  readonly recorder: Recorder;
}

async function start(isDelta: boolean): Promise<Started> {
  const server = await startTestControlPlane([adsMethods.sotw, adsMethods.delta]);
  closers.push(server.stop);
  const grpc = new Client(`127.0.0.1:${server.port}`, credentials.createInsecure());
  closers.push(() => grpc.close());
  const client = new XdsClient({
    open: openBy(grpc),
    method: isDelta ? adsMethods.delta : adsMethods.sotw,
    isDelta,
    node: { id: "me" },
    sendsNodeOnce: true,
    clock: systemClock,
    random: () => 0,
    log: silentLog,
    stats: createStatsRegistry(),
  });
  closers.push(() => client.close());
  const recorder = new Recorder();
  client.subscribe(resourceTypes.cds, recorder).want("*");
  client.start();
  return { server, client, recorder };
}

const cds = typeUrl("envoy.config.cluster.v3.Cluster");
const cluster = (name: string): Any => packAny("envoy.config.cluster.v3.Cluster", { name });
const sotw = (version: string, nonce: string, resources: readonly Any[]): Uint8Array =>
  encode("envoy.service.discovery.v3.DiscoveryResponse", { version_info: version, nonce, type_url: cds, resources });

describe("XdsClient, state of the world", () => {
  it("says who it is once, acknowledges, and sees what has vanished", async () => {
    const { server, recorder } = await start(false);
    const stream = await server.stream();
    expect(await stream.next()).toEqual({ type_url: cds, node: { id: "me" } });
    stream.send(sotw("1", "a", [cluster("x"), cluster("y")]));
    expect(await stream.next()).toEqual({ type_url: cds, version_info: "1", response_nonce: "a" });
    stream.send(sotw("2", "b", [cluster("y")]));
    expect(await stream.next()).toEqual({ type_url: cds, version_info: "2", response_nonce: "b" });
    expect(recorder.names).toEqual([["x", "y"], ["y"]]);
    expect(recorder.updates[1]?.removed).toEqual(["x"]);
  });

  it("takes the good resources of a response, and names the field of each bad one", async () => {
    const { server, recorder } = await start(false);
    const stream = await server.stream();
    await stream.next();
    const garbage: Any = { type_url: cds, value: Uint8Array.of(0xff, 0xff, 0xff) };
    const stranger = packAny("envoy.config.listener.v3.Listener", { name: "l" });
    stream.send(sotw("1", "a", [cluster("good"), cluster("bad"), garbage, stranger, cluster("good"), cluster("")]));
    const { version_info: version, error_detail: error } = await stream.next();
    expect(version).toBeUndefined();
    expect(recorder.names).toEqual([["good", "bad"]]);
    expect(error?.message?.split("\n")).toEqual([
      "Cluster bad: lb_policy: is bad",
      expect.stringMatching(/^resource 2 \(Cluster\): ./),
      "resource 3 (Cluster): is a envoy.config.listener.v3.Listener",
      "Cluster good: duplicate Cluster good",
      "resource 5 (Cluster): name: is required",
    ]);
    stream.send(sotw("2", "b", [cluster("good")]));
    expect((await stream.next()).version_info).toBe("2");
    // Refused resources were never there, and nothing is said to be gone while a name could not be read.
    expect(recorder.updates.map(({ removed }) => removed)).toEqual([[], []]);
  });

  it("comes back after a loss with its version, and keeps on after garbage", async () => {
    const { server, recorder } = await start(false);
    const first = await server.stream();
    await first.next();
    first.send(sotw("1", "a", [cluster("x")]));
    await first.next();
    first.end();
    const second = await server.stream();
    expect(await second.next()).toEqual({ type_url: cds, node: { id: "me" }, version_info: "1" });
    second.send(Uint8Array.of(0xff, 0xff, 0xff, 0xff));
    const third = await server.stream();
    expect((await third.next()).version_info).toBe("1");
    // Of a type that nobody asked for.
    third.send(encode("envoy.service.discovery.v3.DiscoveryResponse", { type_url: "type.googleapis.com/no.Such" }));
    third.send(sotw("2", "b", [cluster("y")]));
    expect(await third.next()).toEqual({ type_url: cds, version_info: "2", response_nonce: "b" });
    expect(recorder.names).toEqual([["x"], ["y"]]);
    expect(recorder.failures).toBe(2);
  });
});

describe("XdsClient, delta", () => {
  const delta = (nonce: string, resources: readonly [string, string, Any][], removed: readonly string[]): Uint8Array =>
    encode("envoy.service.discovery.v3.DeltaDiscoveryResponse", {
      nonce,
      type_url: cds,
      resources: resources.map(([name, version, resource]) => ({ name, version, resource })),
      removed_resources: removed,
    });

  it("tells a new stream the versions of what it took", async () => {
    const { server, recorder } = await start(true);
    const first = await server.stream();
    expect(await first.next()).toEqual({ type_url: cds, node: { id: "me" } });
    first.send(
      delta(
        "a",
        [
          ["x", "1", cluster("x")],
          ["bad", "1", cluster("bad")],
          ["y", "1", cluster("y")],
        ],
        [],
      ),
    );
    expect(await first.next()).toEqual({
      type_url: cds,
      response_nonce: "a",
      error_detail: { code: 13, message: "Cluster bad: lb_policy: is bad" },
    });
    first.send(delta("b", [["x", "2", cluster("x")]], ["y"]));
    await first.next();
    expect(recorder.updates[1]?.removed).toEqual(["y"]);
    first.end();
    const second = await server.stream();
    expect((await second.next()).initial_resource_versions).toEqual({ x: "2" });
  });
});

it("goes on with responses only when its answers are on their way", async () => {
  const blocked = Promise.withResolvers<void>();
  const sent: Uint8Array[] = [];
  let take: MessageStreamEvents["onMessage"] = () => true;
  const client = new XdsClient({
    open: (_method, { onMessage }) => {
      take = onMessage;
      return {
        send: (bytes) => sent.push(bytes),
        get whenSent() {
          return sent.length === 2 ? blocked.promise : undefined;
        },
        resume: () => undefined,
        close: () => undefined,
      };
    },
    method: adsMethods.sotw,
    isDelta: false,
    node: { id: "a" },
    sendsNodeOnce: false,
    clock: systemClock,
    random: () => 0,
    log: silentLog,
    stats: createStatsRegistry().scope("control_plane"),
  });
  closers.push(() => client.close());
  const recorder = new Recorder();
  client.subscribe(resourceTypes.cds, recorder).want("*");
  client.start();
  for (const nonce of ["1", "2", "3"]) {
    take([
      encode("envoy.service.discovery.v3.DiscoveryResponse", {
        type_url: typeUrl("envoy.config.cluster.v3.Cluster"),
        nonce,
      }),
    ]);
  }
  await expect.poll(() => sent.length).toBe(2);
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  expect(recorder.updates.length).toBe(1);
  blocked.resolve();
  await expect.poll(() => sent.length).toBe(4);
  const requests = sent.map((bytes) => decode("envoy.service.discovery.v3.DiscoveryRequest", bytes));
  expect(requests.map(({ response_nonce }) => response_nonce ?? "")).toEqual(["", "1", "2", "3"]);
  expect(requests.every(({ node }) => node?.id === "a")).toBe(true);
});
