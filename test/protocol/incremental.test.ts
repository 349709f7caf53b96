/**
 * Whatever changes, what a long-lived store gives its proxies equals what a store gives that never saw anything but the
 * mesh of now. It fails where the table of dependencies leaves something out.
 */
import { expect, test } from "vitest";
import { generators } from "../../src/bootstrap/generators.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { parseNode } from "../../src/model/node.ts";
import type { Proxy as MeshProxy } from "../../src/model/proxy.ts";
import { findInSet, listSet } from "../../src/push/resource-set.ts";
import { type ProxyResources, ResourceStore } from "../../src/push/resource-store.ts";
import { resourceTypes } from "../../src/push/resource-types.ts";
import { createSnapshotBuilder } from "../../src/snapshot/build.ts";
import type { SnapshotChange } from "../../src/snapshot/snapshot.ts";
import { createMemorySource } from "../../src/sources/memory.ts";
import { destinationRuleOf, podOf, shopMesh, shopNode, sliceOf, virtualServiceOf } from "../support/shop-mesh.ts";

const gateway = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front, namespace: shop}
spec: {selector: {app: front}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]}
`;

const steps: readonly (readonly [string, string | { readonly kind: string; readonly name: string }])[] = [
  ["an endpoint comes", join(podOf("web", "10.0.0.13", "v2"), sliceOf("web", ["10.0.0.11", "10.0.0.12", "10.0.0.13"]))],
  [
    "an endpoint of a headless service comes",
    join(podOf("db", "10.0.0.32"), sliceOf("db", ["10.0.0.31", "10.0.0.32"])),
  ],
  ["another identity serves", podOf("cart", "10.0.0.21", "v1", "other")],
  ["a rule comes", destinationRuleOf(10)],
  ["a virtual service comes", virtualServiceOf(1)],
  ["the virtual service changes", virtualServiceOf(2)],
  ["the rule changes", destinationRuleOf(20)],
  ["mutual TLS is required", peerAuthentication("shop", "STRICT")],
  ["mutual TLS is required everywhere but here", peerAuthentication("shop", "PERMISSIVE")],
  ["a gateway comes", gateway],
  ["the gateway moves to another port", gateway.replace("number: 80", "number: 8081")],
  ["the gateway gets a host", virtualServiceOf(3).replace("hosts: [web],", "hosts: [web], gateways: [front, mesh],")],
  ["a service outside comes", serviceEntry("198.51.100.1")],
  ["the service outside moves", serviceEntry("198.51.100.2")],
  ["a Sidecar narrows the namespace", sidecar(["./cart.shop.svc.cluster.local"])],
  ["the Sidecar widens", sidecar(["./cart.shop.svc.cluster.local", "./web.shop.svc.cluster.local"])],
  ["all endpoints of a service go", sliceOf("cart", [])],
  ["others come", join(podOf("cart", "10.0.0.22"), sliceOf("cart", ["10.0.0.22"]))],
  ["the Sidecar goes", { kind: "Sidecar", name: "default" }],
  ["the rule goes", { kind: "DestinationRule", name: "web" }],
  ["the virtual service goes", { kind: "VirtualService", name: "web" }],
  ["a service goes", { kind: "Service", name: "cart" }],
  ["a pod changes its app", podOf("web", "10.0.0.11").replace("app: web", "app: renamed")],
  ["the gateway goes", { kind: "Gateway", name: "front" }],
];

test("changes one after the other leave what the mesh of now gives", async () => {
  const builder = createSnapshotBuilder({ domain: "cluster.local", clusterId: "Kubernetes" });
  const source = createMemorySource();
  source.apply(shopMesh);
  const changes: SnapshotChange[] = [];
  await source.start({ apply: (changeSet) => void changes.push(builder.apply(changeSet)) });
  const store = createStore();
  for (const change of changes.splice(0)) store.apply(change);
  const handles = new Map(proxies().map((proxy) => [proxy.nodeId, store.acquire(proxy)]));
  const before = new Map<string, string>();
  for (const [title, step] of [["nothing yet", ""] as const, ...steps]) {
    if (typeof step === "object") source.delete({ ...step, namespace: "shop" });
    else if (step !== "") expect(source.apply(step).filter(({ level }) => level === "error")).toEqual([]);
    for (const change of changes.splice(0)) store.apply(change);
    const fresh = createStore();
    fresh.apply(buildFirstChange(builder.current));
    let differences = 0;
    for (const proxy of proxies()) {
      const [kept, made] = [describe(handles.get(proxy.nodeId)), describe(fresh.acquire(proxy))];
      expect(kept, `${title}: ${proxy.nodeId}`).toEqual(made);
      const text = JSON.stringify(kept);
      if (before.get(proxy.nodeId) !== text) differences += 1;
      before.set(proxy.nodeId, text);
    }
    // A step that changes nothing for anybody would prove nothing.
    expect(differences, title).toBeGreaterThan(0);
  }
});

function buildFirstChange(after: SnapshotChange["after"]): SnapshotChange {
  return { before: undefined, after, kinds: new Set(), objects: [], services: new Set(), endpoints: new Set() };
}

function createStore(): ResourceStore {
  const report = ({ cause }: { readonly cause: unknown }): never => {
    throw cause;
  };
  return new ResourceStore({ generators, clock: systemClock, lingerMs: 0, report });
}

function proxies(): readonly MeshProxy[] {
  const nodes = [shopNode("web", "10.0.0.11"), shopNode("cart", "10.0.0.21"), shopNode("db", "10.0.0.31")];
  const sidecars = nodes.map(({ id, labels }) => parse(id, labels));
  return [...sidecars, parse("router~10.0.0.41~front-41.shop~shop.svc.cluster.local", { app: "front" })];
}

function parse(id: string, labels: { readonly [name: string]: string }): MeshProxy {
  const proxy = parseNode({ id, metadata: { NAMESPACE: "shop", CLUSTER_ID: "Kubernetes", LABELS: labels } });
  if (typeof proxy === "string") throw new Error(proxy);
  return proxy;
}

/** Versions by type and name, everything that the proxy could ask for. */
function describe(resources: ProxyResources | undefined): {
  readonly [type: string]: { readonly [name: string]: string };
} {
  return Object.fromEntries(
    resourceTypes.map(({ type }) => {
      const set = resources?.resolve(type, undefined)?.set;
      if (set === undefined) throw new Error(`no ${type}`);
      const entries = [...listSet(set)].map(({ name, version }) => [name, version] as const);
      for (const [name] of entries) expect(findInSet(set, name)?.name).toBe(name);
      return [type, Object.fromEntries(entries)];
    }),
  );
}

function join(...texts: readonly string[]): string {
  return texts.join("---\n");
}

function peerAuthentication(namespace: string, mode: string): string {
  return `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: ${namespace}}
spec: {mtls: {mode: ${mode}}}
`;
}

function serviceEntry(address: string): string {
  return `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: outside, namespace: shop}
spec:
  hosts: [outside.example.com]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: ${address}}]
`;
}

function sidecar(hosts: readonly string[]): string {
  return `
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: shop}
spec: {egress: [{hosts: ${JSON.stringify(hosts)}}]}
`;
}
