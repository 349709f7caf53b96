import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type Metadata,
  type MetadataValue,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  status,
} from "@grpc/grpc-js";
import { decode, encode, packAny } from "@meltemi/protos";
import type { NameTable } from "@meltemi/protos/istio/networking/nds/v1";
import { beforeAll, expect, onTestFinished, test } from "vitest";
import { type Authority, issueServingCertificate, issueWorkloadCertificate } from "../../../../src/ca/authority.ts";
import { systemClock } from "../../../../src/lib/clock.ts";
import { createInspectedLog } from "../../../../test/support/inspected-log.ts";
import { openSocketStream, type SocketStream } from "../../../../test/support/socket-client.ts";
import { createTestRoot } from "../../../../test/support/test-ca.ts";
import { until } from "../../../../test/support/until.ts";
import { createTokenFile } from "../identity/credential-files.ts";
import type { UpstreamOptions } from "../identity/upstream.ts";
import { startXdsProxy, type XdsProxy, type XdsProxyOptions } from "./xds-proxy.ts";

const service = "/envoy.service.discovery.v3.AggregatedDiscoveryService";
const listenerType = "type.googleapis.com/envoy.config.listener.v3.Listener";
const clusterType = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
const nameTableType = "type.googleapis.com/istio.networking.nds.v1.NameTable";
const healthType = "type.googleapis.com/istio.v1.HealthInformation";
const hour = 3_600_000;

type Call = ServerDuplexStream<Buffer, Uint8Array>;

/** One stream as the control plane sees it. */
interface SeenStream {
  readonly call: Call;
  readonly variant: "sotw" | "delta";
  readonly metadata: { readonly [name: string]: MetadataValue };
  readonly received: Buffer[];
  readonly certificate: string;
  isClosed: boolean;
}

interface ControlPlane {
  readonly streams: SeenStream[];
  readonly address: string;
  stop(): void;
}

let authority: Authority;
beforeAll(async () => {
  authority = await createTestRoot();
});

/** A discovery service over TLS that answers nothing by itself; `port` 0 takes a free one. */
async function startControlPlane({ port = 0, asksForCertificate = false } = {}): Promise<ControlPlane> {
  const lifetime = { lifetimeMs: hour, nowMs: systemClock.now() };
  const { chain, privateKey } = await issueServingCertificate(authority, { names: ["istiod.test"], ...lifetime });
  const streams: SeenStream[] = [];
  const server = new Server({ "grpc.max_receive_message_length": -1 });
  const same = (bytes: Uint8Array): Buffer => Buffer.from(bytes);
  const codec = {
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  };
  const method = (name: string) => ({
    path: `${service}/${name}`,
    requestStream: true,
    responseStream: true,
    ...codec,
  });
  const accept = (variant: SeenStream["variant"]) => (call: Call) => {
    const { sslPeerCertificate: certificate } = call.getAuthContext();
    const seen: SeenStream = {
      ...{ call, variant, metadata: call.metadata.getMap(), received: [], isClosed: false },
      certificate: certificate?.subjectaltname ?? "",
    };
    streams.push(seen);
    call.on("error", () => undefined);
    call.on("data", (bytes: Buffer) => seen.received.push(bytes));
    call.once("cancelled", () => (seen.isClosed = true));
    call.once("end", () => call.end());
  };
  server.addService(
    {
      StreamAggregatedResources: method("StreamAggregatedResources"),
      DeltaAggregatedResources: method("DeltaAggregatedResources"),
    },
    { StreamAggregatedResources: accept("sotw"), DeltaAggregatedResources: accept("delta") },
  );
  const pair = { cert_chain: Buffer.from(chain), private_key: Buffer.from(privateKey.reveal()) };
  const credentials = ServerCredentials.createSsl(Buffer.from(authority.roots), [pair], asksForCertificate);
  const taken = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`127.0.0.1:${port}`, credentials, (error, bound) => (error ? reject(error) : resolve(bound)));
  });
  const stop = (): void => server.forceShutdown();
  onTestFinished(stop);
  return { streams, address: `127.0.0.1:${taken}`, stop };
}

interface Rig {
  readonly folder: string;
  readonly upstream: ControlPlane;
  readonly proxy: XdsProxy;
  readonly lines: readonly string[];
  open(variant?: SeenStream["variant"]): SocketStream;
  /** The control plane's end of the newest stream, when `count` have come. */
  seen(count?: number): Promise<SeenStream>;
}

interface RigOptions {
  readonly controlPlane?: Parameters<typeof startControlPlane>[0];
  readonly upstream?: Partial<UpstreamOptions>;
  readonly proxy?: Partial<XdsProxyOptions>;
}

async function startRig(options: RigOptions = {}): Promise<Rig> {
  const folder = mkdtempSync(join(tmpdir(), "meltemi-xds-"));
  writeFileSync(join(folder, "token"), "token-1");
  const upstream = await startControlPlane(options.controlPlane);
  const { log, lines } = createInspectedLog();
  const socketPath = join(folder, "XDS");
  const proxy = await startXdsProxy({
    socketPath,
    upstream: {
      address: upstream.address,
      serverName: "istiod.test",
      roots: () => authority.roots,
      token: createTokenFile(join(folder, "token")),
      clientCertificate: () => undefined,
      clusterId: "east",
      headers: { "x-team": "mesh" },
      ...options.upstream,
    },
    log,
    ...options.proxy,
  });
  onTestFinished(async () => {
    await proxy.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  return {
    ...{ folder, upstream, proxy, lines },
    open: (variant = "delta") =>
      openSocketStream(socketPath, `${service}/${variant === "delta" ? "Delta" : "Stream"}AggregatedResources`),
    async seen(count = 1) {
      await until(`stream ${count} comes`, () => upstream.streams.length >= count);
      return upstream.streams[count - 1] as SeenStream;
    },
  };
}

const request = (type_url: string, nonce = ""): Uint8Array =>
  encode("envoy.service.discovery.v3.DeltaDiscoveryRequest", { type_url, response_nonce: nonce });
const typesOf = (seen: SeenStream): readonly (string | undefined)[] =>
  seen.received.map((bytes) =>
    seen.variant === "delta"
      ? decode("envoy.service.discovery.v3.DeltaDiscoveryRequest", bytes).type_url
      : decode("envoy.service.discovery.v3.DiscoveryRequest", bytes).type_url,
  );

test.each(["sotw", "delta"] as const)("messages go both ways byte by byte (%s)", async (variant) => {
  const rig = await startRig();
  expect(rig.proxy.isConnected()).toBe(false);
  const stream = rig.open(variant);
  // Not even messages of protobuf: nothing but type and nonce is looked at.
  const [there, back] = [Buffer.from([0xff, 1, 2, 3]), Buffer.from([0xfe, ...new Uint8Array(70_000)])];
  stream.send(there);
  const seen = await rig.seen();
  expect(seen.variant).toBe(variant);
  await until("the request comes", () => seen.received.length === 1);
  seen.call.write(back);
  expect((await stream.next()).equals(back)).toBe(true);
  expect(seen.received[0]?.equals(there)).toBe(true);
  expect(rig.proxy.isConnected()).toBe(true);
  expect(rig.proxy.counters()).toEqual({ requests: 1, responses: 1, connections: 1, failures: 0 });
});

test("every connection says who the agent is, with the token of then", async () => {
  const rig = await startRig();
  rig.open();
  const first = await rig.seen(1);
  expect(first.metadata).toMatchObject({ authorization: "Bearer token-1", clusterid: "east", "x-team": "mesh" });
  writeFileSync(join(rig.folder, "token"), "token-2");
  rig.open();
  const second = await rig.seen(2);
  expect(second.metadata["authorization"]).toBe("Bearer token-2");
  rmSync(join(rig.folder, "token"));
  rig.open();
  expect((await rig.seen(3)).metadata["authorization"]).toBeUndefined();
  expect(rig.lines.join()).not.toContain("token-");
});

test("a machine outside Kubernetes proves itself by its certificate", async () => {
  const identity = { trustDomain: "cluster.local", namespace: "vm", serviceAccount: "db" };
  const own = await issueWorkloadCertificate(authority, { identity, lifetimeMs: hour, nowMs: systemClock.now() });
  const rig = await startRig({
    controlPlane: { asksForCertificate: true },
    upstream: { clientCertificate: () => own },
  });
  rig.open();
  expect((await rig.seen()).certificate).toBe("URI:spiffe://cluster.local/ns/vm/sa/db");
});

test("a control plane that cannot prove itself is told nothing", async () => {
  const other = await createTestRoot();
  let roots = other.roots;
  const rig = await startRig({ upstream: { roots: () => roots } });
  const refused = rig.open();
  refused.send(request(clusterType));
  expect((await refused.end()).code).toBe(status.UNAVAILABLE);
  roots = "";
  expect((await rig.open().end()).code).toBe(status.UNAVAILABLE);
  expect(rig.upstream.streams).toHaveLength(0);
  roots = authority.roots;
  rig.open();
  await rig.seen();
  expect(rig.proxy.counters().failures).toBe(2);
});

test("in plain text no credential goes out", async () => {
  const server = new Server();
  const seen: Metadata[] = [];
  const same = (bytes: Uint8Array): Buffer => Buffer.from(bytes);
  const codec = {
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  };
  server.addService(
    { Delta: { path: `${service}/DeltaAggregatedResources`, requestStream: true, responseStream: true, ...codec } },
    { Delta: (call: Call) => void seen.push(call.metadata) },
  );
  const port = await new Promise<number>((resolve, reject) => {
    const insecure = ServerCredentials.createInsecure();
    server.bindAsync("127.0.0.1:0", insecure, (error, bound) => (error ? reject(error) : resolve(bound)));
  });
  onTestFinished(() => server.forceShutdown());
  const rig = await startRig({ upstream: { isPlaintext: true, address: `127.0.0.1:${port}` } });
  rig.open();
  await until("it comes", () => seen.length === 1);
  expect(seen[0]?.get("authorization")).toEqual([]);
  expect(seen[0]?.get("clusterid")).toEqual(["east"]);
});

test.each(["sotw", "delta"] as const)(
  "the table of names is asked for with the listeners and kept (%s)",
  async (variant) => {
    const tables: NameTable[] = [];
    const onNameTable = (table: NameTable): void => {
      if (table.table?.["broken"] !== undefined) throw new Error("no such name");
      tables.push(table);
    };
    const rig = await startRig({ proxy: { onNameTable } });
    const stream = rig.open(variant);
    const seen = await rig.seen();
    const ask = (type_url: string): void =>
      stream.send(
        variant === "delta" ? request(type_url) : encode("envoy.service.discovery.v3.DiscoveryRequest", { type_url }),
      );
    ask(clusterType);
    ask(listenerType);
    ask(listenerType);
    await until("all have come", () => seen.received.length === 4);
    expect(typesOf(seen)).toEqual([clusterType, listenerType, nameTableType, listenerType]);

    const answer = (nonce: string, table: NameTable): void => {
      const resource = packAny("istio.networking.nds.v1.NameTable", table);
      seen.call.write(
        variant === "delta"
          ? encode("envoy.service.discovery.v3.DeltaDiscoveryResponse", {
              ...{ type_url: nameTableType, nonce, resources: [{ name: "table", resource }] },
            })
          : encode("envoy.service.discovery.v3.DiscoveryResponse", {
              ...{ type_url: nameTableType, nonce, version_info: `v-${nonce}`, resources: [resource] },
            }),
      );
    };
    const table = { table: { "a.shop": { ips: ["10.0.0.1"], registry: "Kubernetes" } } };
    answer("n1", table);
    answer("n2", { table: { broken: {} } });
    await until("both are answered", () => seen.received.length === 6);
    expect(tables).toEqual([table]);
    const name =
      variant === "delta"
        ? "envoy.service.discovery.v3.DeltaDiscoveryRequest"
        : "envoy.service.discovery.v3.DiscoveryRequest";
    const [taken, refused] = seen.received.slice(4).map((bytes) => decode(name, bytes));
    expect(taken).toMatchObject({ type_url: nameTableType, response_nonce: "n1" });
    expect(taken?.error_detail).toBeUndefined();
    if (variant === "sotw") expect(taken).toMatchObject({ version_info: "v-n1" });
    expect(refused).toMatchObject({ response_nonce: "n2", error_detail: { code: 13, message: "no such name" } });
    // The proxy hears nothing of all this.
    seen.call.write(Buffer.from([0x2a, 1, 0x37]));
    expect(await stream.next()).toEqual(Buffer.from([0x2a, 1, 0x37]));
    expect(stream.received).toHaveLength(1);
  },
);

test("without DNS capture nobody asks for the table", async () => {
  const rig = await startRig();
  const stream = rig.open();
  stream.send(request(listenerType));
  stream.send(request(clusterType));
  const seen = await rig.seen();
  await until("both have come", () => seen.received.length === 2);
  expect(typesOf(seen)).toEqual([listenerType, clusterType]);
});

test("health is reported when it changes, and again on each new stream", async () => {
  const rig = await startRig();
  rig.proxy.reportHealth({ isHealthy: false, message: "no answer" });
  const stream = rig.open();
  stream.send(request(clusterType));
  const first = await rig.seen(1);
  await until("it comes", () => first.received.length === 1);
  stream.send(request(listenerType));
  await until("health follows the listeners", () => first.received.length === 3);
  rig.proxy.reportHealth({ isHealthy: true });
  await until("the change comes", () => first.received.length === 4);
  expect(typesOf(first)).toEqual([clusterType, listenerType, healthType, healthType]);
  const [ill, well] = first.received.slice(2).map((bytes) => {
    return decode("envoy.service.discovery.v3.DeltaDiscoveryRequest", bytes).error_detail;
  });
  expect([ill?.message, well]).toEqual(["no answer", undefined]);
  const again = rig.open();
  again.send(request(listenerType));
  const second = await rig.seen(2);
  await until("it is told again", () => second.received.length === 2);
  expect(typesOf(second)).toEqual([listenerType, healthType]);
});

test("a new stream ends the one before, on both sides", async () => {
  const rig = await startRig();
  const old = rig.open();
  const first = await rig.seen(1);
  rig.open();
  const second = await rig.seen(2);
  expect((await old.end()).code).toBe(status.UNAVAILABLE);
  await until("the control plane sees it", () => first.isClosed);
  expect(second.isClosed).toBe(false);
});

test("a proxy that goes away takes its stream to the control plane along", async () => {
  const rig = await startRig();
  const stream = rig.open();
  const seen = await rig.seen();
  stream.cancel();
  await until("it ends", () => seen.isClosed);
  await until("the proxy knows", () => !rig.proxy.isConnected());
});

test.each([
  { sent: status.UNAUTHENTICATED, got: status.UNAUTHENTICATED },
  { sent: status.PERMISSION_DENIED, got: status.PERMISSION_DENIED },
  { sent: status.INTERNAL, got: status.UNAVAILABLE },
  { sent: status.OK, got: status.UNAVAILABLE },
])("a stream that the control plane ends with $sent ends with $got", async ({ sent, got }) => {
  const rig = await startRig();
  const stream = rig.open();
  const { call } = await rig.seen();
  if (sent === status.OK) call.end();
  else call.emit("error", { code: sent, details: "as the test says" });
  const ended = await stream.end();
  expect(ended.code).toBe(got);
  if (sent !== status.OK) expect(ended.details).toContain("as the test says");
});

test("a control plane that restarts is found again by the next stream", async () => {
  const rig = await startRig();
  const stream = rig.open();
  stream.send(request(listenerType));
  await rig.seen();
  rig.upstream.stop();
  expect((await stream.end()).code).toBe(status.UNAVAILABLE);
  expect((await rig.open().end()).code).toBe(status.UNAVAILABLE);
  const next = await startControlPlane({ port: Number(rig.upstream.address.split(":")[1]) });
  const again = rig.open();
  again.send(request(listenerType));
  await until("it comes", () => next.streams[0]?.received.length === 1);
});

test("a proxy that does not read holds the control plane back", async () => {
  const rig = await startRig();
  const stream = rig.open();
  const { call } = await rig.seen();
  stream.pause();
  const chunk = Buffer.alloc(256 * 1024, 7);
  let written = 0;
  const count = 200;
  for (let index = 0; index < count; index += 1) call.write(chunk, () => (written += 1));
  // It stands still when all that lies in between is full.
  let [last, rounds] = [-1, 0];
  await until("nothing moves any more", () => {
    rounds = written === last ? rounds + 1 : 0;
    last = written;
    return rounds >= 30;
  });
  expect(written).toBeLessThan(count / 2);
  stream.resume();
  await until("all has come", () => stream.received.length === count);
});

test("only the owner may connect", async () => {
  const rig = await startRig();
  expect(statSync(join(rig.folder, "XDS")).mode & 0o777).toBe(0o600);
});
