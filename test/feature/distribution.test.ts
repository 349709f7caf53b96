/** On how many proxies the objects of the sample mesh are live, by what the proxies answer. */
import { readFileSync } from "node:fs";
import { struct } from "@meltemi/protos";
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { generators } from "../../src/bootstrap/generators.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { silentLog } from "../../src/lib/log.ts";
import type { XdsMetrics } from "../../src/push/metrics.ts";
import { createSnapshotBuilder } from "../../src/snapshot/build.ts";
import { createMemorySource, type MemorySource } from "../../src/sources/memory.ts";
import { createDiscoveryServer, type DiscoveryServer } from "../../src/xds/discovery-server.ts";
import { createGrpcTransport, defaultGrpcLimits } from "../../src/xds/grpc-server.ts";
import { defaultLimits } from "../../src/xds/limits.ts";
import { type ProxyIdentity, WatchingProxy } from "../kubernetes/watching-proxy.ts";
import { type Received, XdsClient } from "../support/xds-client.ts";
import { typeUrls } from "../support/xds-client-rig.ts";

const folder = new URL("../../manifests/samples/bookinfo/", import.meta.url);
const sample = ["mesh", "services", "gateway", "reviews", "sidecars"]
  .map((name) => readFileSync(new URL(`${name}.yaml`, folder), "utf8"))
  .join("\n---\n");

const route = "VirtualService/bookinfo/reviews-route";
const rule = "DestinationRule/bookinfo/reviews-destination";
const gateway = "Gateway/istio-system/my-gateway";
const entry = "VirtualService/bookinfo/bookinfo";

let source: MemorySource;
let server: DiscoveryServer;
let address: string;
const proxies: WatchingProxy[] = [];

beforeEach(async () => {
  const metrics: XdsMetrics = {
    count: () => undefined,
    observe: () => undefined,
    setReject: () => undefined,
    noteRequestSize: () => undefined,
  };
  server = createDiscoveryServer({
    generators,
    clock: systemClock,
    log: silentLog,
    metrics,
    limits: { ...defaultLimits(2), debounceQuietMs: 0, scopeLingerMs: 0, drainMs: 500 },
    identity: { id: "test", version: "test", runId: "run" },
    createTransport: (service) =>
      createGrpcTransport({ limits: defaultGrpcLimits, clock: systemClock, log: silentLog }, service),
    yieldTurn: (run) => void setImmediate(run),
  });
  const builder = createSnapshotBuilder({ domain: "cluster.local", clusterId: "Kubernetes" });
  source = createMemorySource();
  source.apply(sample);
  await source.start({ apply: (changeSet) => server.apply(builder.apply(changeSet)) });
  address = await server.start("127.0.0.1:0");
});

afterEach(async () => {
  for (const proxy of proxies.splice(0)) proxy.stop();
  await server.stop();
});

function nodeOf(kind: "sidecar" | "router", serial: number): ProxyIdentity {
  const [namespace, labels] =
    kind === "router" ? ["istio-system", { istio: "ingressgateway" }] : ["bookinfo", { app: "productpage" }];
  return {
    id: `${kind}~10.9.0.${serial}~${kind}-${serial}.${namespace}~${namespace}.svc.cluster.local`,
    metadata: struct({ NAMESPACE: namespace, LABELS: labels, CLUSTER_ID: "Kubernetes" }),
  };
}

function connect(kind: "sidecar" | "router", serial: number, variant: "sotw" | "delta" = "sotw"): WatchingProxy {
  const proxy = new WatchingProxy(address, variant, nodeOf(kind, serial));
  proxies.push(proxy);
  return proxy;
}

function countOf(key: string): string {
  const found = server.distribution.list().get(key);
  return found === undefined ? "unused" : `${found.live}/${found.using}`;
}

async function connectAll(): Promise<void> {
  for (const serial of [1, 2, 3]) connect("sidecar", serial, serial === 3 ? "delta" : "sotw");
  connect("router", 1);
  await vi.waitFor(
    () => expect([route, rule, gateway, entry].map(countOf)).toEqual(["3/3", "4/4", "1/1", "1/1"]),
    10_000,
  );
}

function setTimeoutOfRoute(timeout: string): void {
  const text = readFileSync(new URL("reviews.yaml", folder), "utf8");
  source.apply(text.split("\n---\n")[0]?.replace("timeout: 5s", `timeout: ${timeout}`) ?? "");
}

test("counts an object on the proxies whose resources it made, sidecars and gateways", async () => {
  expect(countOf(route)).toBe("unused");
  await connectAll();
  proxies[0]?.stop();
  await vi.waitFor(() => expect([route, rule, gateway].map(countOf)).toEqual(["2/2", "3/3", "1/1"]), 10_000);
});

test("a changed object is live again when the proxies have taken it, and nothing else is in doubt meanwhile", async () => {
  await connectAll();
  // A proxy that asks for routes alone and answers when it is told to.
  const client = new XdsClient(address);
  onTestFinished(() => client.close());
  const stream = client.open("sotw");
  const head = { node: nodeOf("sidecar", 9), type_url: typeUrls.rds, resource_names: ["9080"] };
  const answer = ({ nonce, version }: Received): void =>
    stream.send({ ...head, response_nonce: nonce, version_info: version });
  stream.send(head);
  answer(await stream.next());
  await vi.waitFor(() => expect(countOf(route)).toBe("4/4"), 10_000);
  setTimeoutOfRoute("6s");
  const response = await stream.next();
  await vi.waitFor(() => expect(countOf(route)).toBe("3/4"), 10_000);
  expect([rule, gateway, entry].map(countOf)).toEqual(["4/4", "1/1", "1/1"]);
  answer(response);
  await vi.waitFor(() => expect(countOf(route)).toBe("4/4"), 10_000);
});

test("changes of endpoints leave objects live", async () => {
  await connectAll();
  const seen = new Set<string>();
  const unsubscribe = server.distribution.subscribe(() => seen.add(countOf(rule)));
  source.apply(`apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: reviews-more, namespace: bookinfo, labels: {kubernetes.io/service-name: reviews}}
addressType: IPv4
ports: [{name: http, port: 9080, protocol: TCP}]
endpoints: [{addresses: [10.77.0.1], conditions: {ready: true}}]`);
  expect(countOf(rule)).toBe("4/4");
  await vi.waitFor(() => expect(seen.size).toBeGreaterThan(0), 10_000);
  unsubscribe();
  expect([...seen]).toEqual(["4/4"]);
});

test("says which object a proxy refused, and what it said", async () => {
  await connectAll();
  const [first] = proxies;
  if (first === undefined) throw new Error("no proxy");
  first.refuse = ({ typeUrl }) => (typeUrl.endsWith("RouteConfiguration") ? "timeout is not to my taste" : undefined);
  setTimeoutOfRoute("7s");
  await vi.waitFor(() => {
    const found = server.distribution.list().get(route);
    expect(found).toMatchObject({ using: 3, live: 2, refused: 1, refusal: expect.stringContaining("not to my taste") });
  }, 10_000);
  expect(server.distribution.list().get(rule)).toMatchObject({ using: 4, live: 4, refused: 0 });
  first.refuse = undefined;
  setTimeoutOfRoute("8s");
  await vi.waitFor(
    () => expect(server.distribution.list().get(route)).toMatchObject({ using: 3, live: 3, refused: 0 }),
    10_000,
  );
});

test("an object that only joins what made a resource is counted at once", async () => {
  await connectAll();
  // Selects what is selected without it: no resource differs.
  source.apply(`apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: everything, namespace: bookinfo}
spec: {egress: [{hosts: ["*/*"]}]}`);
  await vi.waitFor(() => expect(countOf("Sidecar/bookinfo/everything")).toBe("3/3"), 10_000);
});
