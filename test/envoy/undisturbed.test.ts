/**
 * A valid change never breaks a request: weights, subsets, hosts and gateways change two hundred times under steady
 * traffic through a sidecar and a gateway. Nothing is retried, so that every hole would show.
 */
import { afterAll, beforeAll, expect, it } from "vitest";
import type { ControlPlane } from "../../src/bootstrap/control-plane.ts";
import type { ObjectRef } from "../../src/lib/message.ts";
import { createMemorySource } from "../../src/sources/memory.ts";
import { findFreePort } from "../../tools/free-ports.ts";
import { startTestControlPlane } from "../support/control-plane.ts";
import { type EnvoyProcess, eventually, startEnvoy } from "./envoy-process.ts";
import { ask, startUpstream, type Upstream } from "./upstreams.ts";

const changes = 200;
const requestEveryMs = 5;
const changeEveryMs = 50;

const source = createMemorySource();
const stops: (() => Promise<void>)[] = [];
const ports = { proxy: 0, edge: 0, late: 0 };
let controlPlane: ControlPlane;
let envoys: readonly EnvoyProcess[];
let upstreams: readonly Upstream[];

beforeAll(async () => {
  upstreams = await Promise.all(["v1", "v2", "v3"].map(startUpstream));
  stops.push(...upstreams.map(({ stop }) => stop));
  for (const name of ["proxy", "edge", "late"] as const) ports[name] = await findFreePort();
  apply(frame(), host("steady-0"), rule("steady-0", "s0"), route({ host: "steady-0", subset: "s0" }), gateway(0));
  // Without a quiet time every change goes out on its own.
  controlPlane = await startTestControlPlane({ source, limits: { debounceQuietMs: 0 } });
  stops.push(controlPlane.stop);
  const [address = "", port = ""] = controlPlane.grpcAddress.split(":");
  const discovery = { host: address, port: Number(port) };
  envoys = await Promise.all([
    startEnvoy({ name: "client", namespace: "shop", labels: { app: "client" }, ip: "127.0.0.9", discovery }),
    startEnvoy({
      ...{ name: "ingress", namespace: "istio-system", labels: { istio: "ingressgateway" }, ip: "127.0.0.8" },
      ...{ type: "router", delta: true, discovery },
    }),
  ]);
  stops.push(...envoys.map(({ stop }) => stop));
}, 120_000);

afterAll(async () => {
  for (const stop of stops.reverse()) await stop();
});

it("two hundred changes under traffic break nothing", async () => {
  await eventually("both Envoys serve", async () => {
    const answers = await Promise.all([throughSidecar(), throughGateway()]);
    return answers.every(({ status }) => status === 200);
  });
  const outcomes = new Map<string, number>();
  const open = new Set<Promise<void>>();
  let asked = 0;
  const traffic = setInterval(() => {
    asked += 1;
    const question = asked % 2 === 0 ? throughSidecar() : throughGateway();
    const way = asked % 2 === 0 ? "sidecar" : "gateway";
    const step = `change ${made}`;
    const done = question.then(
      ({ status, body }) => count(status === 200 ? way : `${way}, ${step}: ${status} ${body.slice(0, 200)}`),
      (cause: unknown) => count(`${way}, ${step}: ${String(cause)}`),
    );
    open.add(done);
    void done.finally(() => open.delete(done));
  }, requestEveryMs);
  const count = (outcome: string): void => void outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  let made = 0;
  try {
    for (made = 1; made <= changes; made++) {
      change(made);
      await new Promise((resolve) => setTimeout(resolve, changeEveryMs));
    }
  } finally {
    clearInterval(traffic);
    await Promise.all(open);
  }
  // What was last applied is what serves: the changes did arrive.
  const last = current.subset === "s0" ? current.host : `${current.host} ${current.subset}`;
  await eventually(`the last change serves: ${last}`, async () => (await throughGateway()).seen !== undefined);
  expect([...outcomes.keys()].sort()).toEqual(["gateway", "sidecar"]);
  expect(asked).toBeGreaterThan(changes * 4);
  for (const envoy of envoys) await expectNoHoles(envoy);
  expect(upstreams.map(({ seen }) => seen.length > 0)).toEqual([true, true, true]);
}, 180_000);

const throughSidecar = () => ask({ port: ports.proxy, path: "http://front.test/", host: "front.test" });
const throughGateway = () => ask({ port: ports.edge, path: "/", host: "front.test" });

/** Flags NR, NC, UH and UF, as Envoy counts them. */
async function expectNoHoles(envoy: EnvoyProcess): Promise<void> {
  const text = await envoy.admin("stats?usedonly");
  const holes = text.split("\n").filter((line) => {
    return /(\.no_route|\.no_cluster|upstream_cx_none_healthy|upstream_cx_connect_fail|update_rejected): [1-9]/.test(
      line,
    );
  });
  expect(holes).toEqual([]);
}

/** Where front.test leads now. */
let current = { host: "steady-0", subset: "s0" };

/** Ways in which people change a mesh; each leaves a mesh without holes. */
const kinds: readonly ((step: number) => void)[] = [
  // Weights.
  (step) => apply(route(current, step % 90)),
  // Another subset, and the one of before goes in the same step.
  (step) => {
    current = { ...current, subset: `s${step}` };
    apply(rule(current.host, current.subset), route(current));
  },
  // Another host, rule and all, and the one of before goes.
  (step) => {
    const before = current.host;
    current = { host: `steady-${step}`, subset: `s${step}` };
    apply(host(current.host), rule(current.host, current.subset), route(current));
    source.delete(refTo("ServiceEntry", before), refTo("DestinationRule", before));
  },
  // Servers and hosts of the gateway.
  (step) => apply(gateway(step)),
  // A policy that makes the clusters anew.
  (step) => apply(rule(current.host, current.subset, step)),
  // A subset first, its route then, as careful people do; the next change of subsets takes the old one away.
  (step) => {
    const before = current.subset;
    current = { ...current, subset: `s${step}` };
    apply(rule(current.host, `${before}, ${current.subset}`));
    apply(route(current, 50));
  },
];

function change(step: number): void {
  kinds[step % kinds.length]?.(step);
}

/** Applies documents as one step; a message about any of them fails the test. */
function apply(...documents: readonly string[]): void {
  expect(source.apply(documents.join("\n---\n"))).toEqual([]);
}

const refTo = (kind: string, name: string): ObjectRef => ({ kind, name, namespace: "shop" });

/** What stays: the client's proxy port and the name that is asked for. */
function frame(): string {
  return `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: istio-system}
spec: {mtls: {mode: DISABLE}}
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: client, namespace: shop}
spec:
  egress:
  - {port: {number: ${ports.proxy}, name: proxy, protocol: HTTP_PROXY}, bind: 127.0.0.1, captureMode: NONE, hosts: ["*/*"]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: front, namespace: shop}
spec:
  hosts: [front.test]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: 127.0.0.1, ports: {http: ${upstreams[0]?.port ?? 0}}}]`;
}

function host(name: string): string {
  const endpoints = upstreams.map(
    ({ port }, index) => `{address: 127.0.0.1, ports: {http: ${port}}, labels: {n: "${index}"}}`,
  );
  return `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}, namespace: shop}
spec:
  hosts: [${name}.test]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [${endpoints.join(", ")}]`;
}

function rule(name: string, subsets: string, maxRequests = 0): string {
  const entries = subsets.split(", ").map((subset) => `{name: ${subset}}`);
  const policy =
    maxRequests > 0 ? `trafficPolicy: {connectionPool: {http: {http2MaxRequests: ${1000 + maxRequests}}}}` : "";
  return `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: ${name}, namespace: shop}
spec:
  host: ${name}.test
  subsets: [${entries.join(", ")}]
  ${policy}`;
}

/** front.test leads to a subset, with so many percent to the whole host. */
function route(to: { readonly host: string; readonly subset: string }, percent = 0): string {
  return `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: front, namespace: shop}
spec:
  hosts: [front.test]
  gateways: [mesh, istio-system/edge]
  http:
  - retries: {attempts: 0}
    route:
    - {destination: {host: ${to.host}.test, subset: ${to.subset}}, weight: ${100 - percent}}
    - {destination: {host: ${to.host}.test}, weight: ${percent}}`;
}

/** The port that requests come to, always with a server for front.test; the rest differs from step to step. */
function gateway(step: number): string {
  const edge = `{port: {number: ${ports.edge}, name: http, protocol: HTTP}, bind: 127.0.0.1, hosts: [HOSTS]}`;
  const hosts = ['"*"', '"*.test"', "front.test", `front.test, extra-${step}.test`][step % 4] ?? '"*"';
  const late = `{port: {number: ${ports.late}, name: late, protocol: HTTP}, bind: 127.0.0.1, hosts: ["*"]}`;
  const servers = [edge.replace("HOSTS", hosts), ...(step % 3 === 0 ? [late] : [])];
  return `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: istio-system}
spec:
  selector: {istio: ingressgateway}
  servers: [${servers.join(", ")}]`;
}
