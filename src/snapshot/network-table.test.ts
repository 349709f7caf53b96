import { expect, it } from "vitest";
import { parseObjects } from "../api/parse.ts";
import type { ObjectChange } from "../sources/source.ts";
import { createSnapshotBuilder, type SnapshotBuilder } from "./build.ts";

const createBuilder = (): SnapshotBuilder => createSnapshotBuilder({ domain: "cluster.local", clusterId: "c1" });

function set(...values: readonly unknown[]): readonly ObjectChange[] {
  return values
    .flatMap((value) => parseObjects(value))
    .flatMap(({ object }) => (object === undefined ? [] : [{ type: "set", object }]));
}

function gateway(address: string, type = "LoadBalancer"): unknown {
  const annotations = type === "NodePort" ? { "traffic.istio.io/nodeSelector": "{}" } : {};
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "ew", namespace: "istio-system", labels: { "topology.istio.io/network": "b" }, annotations },
    spec: { type, ports: [{ name: "tls", port: 15443, nodePort: 31443 }] },
    status: { loadBalancer: { ingress: [{ ip: address }] } },
  };
}

const node = (address: string): unknown => ({
  apiVersion: "v1",
  kind: "Node",
  metadata: { name: "n1" },
  status: { addresses: [{ type: "ExternalIP", address }] },
});

const backend = [
  {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "a", namespace: "ns" },
    spec: { clusterIP: "10.96.0.1", ports: [{ name: "http", port: 80 }] },
  },
  {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { name: "a-1", namespace: "ns", labels: { "kubernetes.io/service-name": "a" } },
    addressType: "IPv4",
    ports: [{ name: "http", port: 80 }],
    endpoints: [{ addresses: ["10.1.0.1"], conditions: { ready: true } }],
  },
];

const networks = (text: string): unknown => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name: "istio", namespace: "istio-system" },
  data: { mesh: "{}", meshNetworks: text },
});

it("touches everything when a gateway comes, moves or goes, and nothing otherwise", () => {
  const builder = createBuilder();
  const apply = (changes: readonly ObjectChange[]) => {
    const { after, kinds } = builder.apply({ changes, problems: [] });
    return [after.networkGateways.map(({ address, port }) => `${address}:${port}`).join(), kinds.has("MeshConfig")];
  };
  expect(apply(set(...backend))).toEqual(["", false]);
  expect(apply(set(gateway("192.0.2.1")))).toEqual(["192.0.2.1:15443", true]);
  expect(apply(set(gateway("192.0.2.1")))).toEqual(["192.0.2.1:15443", false]);
  expect(apply(set(gateway("192.0.2.2")))).toEqual(["192.0.2.2:15443", true]);
  const ref = { kind: "Service", namespace: "istio-system", name: "ew" };
  expect(apply([{ type: "deleted", ref }])).toEqual(["", true]);
});

it("follows nodes only where a gateway is reached by them", () => {
  const builder = createBuilder();
  const listAfter = (...values: readonly unknown[]) =>
    builder
      .apply({ changes: set(...values), problems: [] })
      .after.networkGateways.map(({ address, port }) => `${address}:${port}`);
  expect(listAfter(node("203.0.113.1"), gateway("", "NodePort"))).toEqual(["203.0.113.1:31443"]);
  expect(listAfter(node("203.0.113.2"))).toEqual(["203.0.113.2:31443"]);
});

it("gives endpoints their networks anew when these change", () => {
  const builder = createBuilder();
  const networkAfter = (...values: readonly unknown[]) =>
    builder
      .apply({ changes: set(...values), problems: [] })
      .after.endpoints.list("a.ns.svc.cluster.local", "ns")
      .map(({ network, labels }) => [network, labels["topology.istio.io/network"]]);
  expect(networkAfter(...backend)).toEqual([["", undefined]]);
  expect(networkAfter(networks("networks: {near: {endpoints: [{fromCidr: 10.1.0.0/16}]}}"))).toEqual([
    ["near", "near"],
  ]);
  expect(networkAfter(networks("networks: {far: {endpoints: [{fromCidr: 10.1.0.0/16}]}}"))).toEqual([["far", "far"]]);
  const namespace = { name: "istio-system", labels: { "topology.istio.io/network": "home" } };
  expect(networkAfter({ apiVersion: "v1", kind: "Namespace", metadata: namespace })).toEqual([["home", "home"]]);
});
