import { expect, it } from "vitest";
import type { KubeNode, KubeService } from "../api/kubernetes/types.ts";
import type { MeshNetworks } from "../api/mesh-config/networks.ts";
import { parseObjects } from "../api/parse.ts";
import { deriveNetworkGateways, mayBeGateway } from "./network-gateways.ts";

const nodes = [
  node("edge", "203.0.113.1", { role: "edge" }),
  node("other", "203.0.113.2", { role: "other" }),
] as readonly KubeNode[];

function parse(value: unknown): unknown {
  return parseObjects(value)[0]?.object;
}

function node(name: string, address: string, labels: object): unknown {
  const status = {
    addresses: [
      { type: "InternalIP", address: "10.0.0.1" },
      { type: "ExternalIP", address },
    ],
  };
  return parse({ apiVersion: "v1", kind: "Node", metadata: { name, labels }, status });
}

function service(given: {
  readonly type?: string;
  readonly labels?: object;
  readonly annotations?: object;
  readonly ports?: readonly number[];
  readonly addresses?: readonly object[];
  readonly externalIPs?: readonly string[];
}): KubeService {
  const { type = "LoadBalancer", labels, annotations, ports = [15443], addresses = [], externalIPs = [] } = given;
  return parse({
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "ew", namespace: "ns", labels, annotations },
    spec: {
      type,
      externalIPs,
      ports: ports.map((port) => ({ name: `p${port}`, port, nodePort: port + 10_000 })),
    },
    status: { loadBalancer: { ingress: addresses } },
  }) as KubeService;
}

function derive(services: readonly KubeService[], networks: MeshNetworks = {}): readonly string[] {
  return deriveNetworkGateways({ services, nodes, networks, domain: "cluster.local", clusterId: "c1" }).map(
    ({ network, clusterId, address, port, hbonePort }) => `${network}/${clusterId} ${address}:${port}+${hbonePort}`,
  );
}

const labelled = { "topology.istio.io/network": "b" };
const ip = [{ ip: "198.51.100.1" }];

it.each([
  [
    "every address of the service",
    { labels: labelled, addresses: [...ip, { hostname: "lb.example.com" }] },
    ["b/c1 198.51.100.1:15443+0", "b/c1 lb.example.com:15443+0"],
  ],
  [
    "external addresses of any type",
    { type: "ClusterIP", labels: labelled, externalIPs: ["192.0.2.1"] },
    ["b/c1 192.0.2.1:15443+0"],
  ],
  [
    "the port that a label names",
    {
      labels: { ...labelled, "networking.istio.io/gatewayPort": "443" },
      ports: [443, 15443],
      addresses: ip,
    },
    ["b/c1 198.51.100.1:443+0"],
  ],
  [
    "the usual port where the label is no number",
    {
      labels: { ...labelled, "networking.istio.io/gatewayPort": "https" },
      addresses: ip,
    },
    ["b/c1 198.51.100.1:15443+0"],
  ],
  ["HBONE alone", { labels: labelled, ports: [15008], addresses: ip }, ["b/c1 198.51.100.1:0+15008"]],
  ["nothing without one of the ports", { labels: labelled, ports: [80], addresses: ip }, []],
  ["nothing without a label", { addresses: ip }, []],
  [
    "ports of selected nodes",
    {
      type: "NodePort",
      labels: labelled,
      annotations: { "traffic.istio.io/nodeSelector": '{"role":"edge"}' },
    },
    ["b/c1 203.0.113.1:25443+0"],
  ],
  [
    "all nodes for a selector that is none",
    {
      type: "NodePort",
      labels: labelled,
      annotations: { "traffic.istio.io/nodeSelector": "edge" },
    },
    ["b/c1 203.0.113.1:25443+0", "b/c1 203.0.113.2:25443+0"],
  ],
])("a labelled service is a gateway by %s", (_, given, expected) => {
  expect(derive([service(given)])).toEqual(expected);
});

it("takes gateways that the mesh states by address and, for this cluster's network, by service", () => {
  const networks: MeshNetworks = {
    networks: {
      a: {
        endpoints: [{ fromRegistry: "c1" }],
        gateways: [{ registryServiceName: "ew.ns.svc.cluster.local", port: 443 }],
      },
      b: {
        gateways: [
          { address: "192.0.2.9", port: 15443 },
          { registryServiceName: "ew.ns.svc.cluster.local", port: 1 },
        ],
      },
    },
  };
  const named = service({ addresses: ip, ports: [443] });
  expect(derive([named], networks)).toEqual(["b/ 192.0.2.9:15443+0", "a/c1 198.51.100.1:443+0"]);
  expect([mayBeGateway(named, networks, "cluster.local"), mayBeGateway(named, {}, "cluster.local")]).toEqual([
    true,
    false,
  ]);
});

it("names a gateway once", () => {
  expect(derive([service({ labels: labelled, addresses: [...ip, ...ip] })])).toHaveLength(1);
});
