import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { buildMesh } from "../../../test/support/mesh-objects.ts";
import { type NodeMessage, parseNode } from "../../model/node.ts";
import type { Proxy as MeshProxy } from "../../model/proxy.ts";
import { createScopeView } from "./create-scope-view.ts";
import { createWorkloadView } from "./create-workload-view.ts";
import { deriveKeys } from "./derive-keys.ts";

const mesh = `
apiVersion: v1
kind: Service
metadata: {name: a, namespace: ns}
spec: {clusterIP: 10.96.0.1, selector: {app: a}, ports: [{name: http, port: 80, targetPort: web}, {name: dns, port: 53, protocol: UDP}]}
---
apiVersion: v1
kind: Service
metadata: {name: head, namespace: ns}
spec: {clusterIP: None, ports: [{name: tcp, port: 90}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: head-1, namespace: ns, labels: {kubernetes.io/service-name: head}}
addressType: IPv4
ports: [{name: tcp, port: 9000}]
endpoints: [{addresses: [10.0.0.1]}, {addresses: [10.0.0.5]}]
---
apiVersion: v1
kind: Pod
metadata: {name: a-x, namespace: ns, labels: {app: a, version: v1, service.istio.io/canonical-name: canon}}
spec: {nodeName: n1, containers: [{name: c, image: i, ports: [{name: web, containerPort: 8080}]}]}
status: {phase: Running, podIP: 10.0.0.1, podIPs: [{ip: 10.0.0.1}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: v, namespace: ns}
spec: {hosts: [a], http: [{match: [{sourceLabels: {version: v1}}], route: [{destination: {host: a}}]}]}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: p, namespace: ns}
spec: {selector: {matchLabels: {app: a}}, mtls: {mode: STRICT}}
---
`;
const { current } = buildMesh(mesh);

const node: NodeMessage = {
  id: "sidecar~10.0.0.1~a-x.ns~ns.svc.cluster.local",
  metadata: { CLUSTER_ID: "c1", ISTIO_VERSION: "1.31.0" },
};

function proxyOf(message: NodeMessage): MeshProxy {
  const proxy = parseNode(message);
  if (typeof proxy === "string") throw new Error(proxy);
  return proxy;
}

describe("the keys of a proxy", () => {
  it("have the labels that selectors ask for, each key its own", () => {
    const { scope, workload } = deriveKeys(current, proxyOf(node));
    expect(scope.labels).toEqual({ version: "v1" });
    expect(workload.labels).toEqual({ app: "a", version: "v1" });
  });

  it("do not tell values apart that no selector asks for", () => {
    const other = (version: string) =>
      deriveKeys(
        current,
        proxyOf({ ...node, id: "sidecar~10.0.0.8~b.ns~ns.svc.cluster.local", metadata: { LABELS: { version } } }),
      );
    expect(other("v2").scope.id).toBe(other("v3").scope.id);
    expect(other("v1").scope.id).not.toBe(other("v3").scope.id);
  });

  it("take labels of the registry before those that the proxy claims, and only of its own namespace", () => {
    const claimed = { ...node, metadata: { LABELS: { version: "v9", extra: "x" } } };
    expect(deriveKeys(current, proxyOf(claimed)).scope.labels).toEqual({ version: "v1" });
    const foreign = { ...node, id: "sidecar~10.0.0.1~a-x.ns~other.svc.cluster.local" };
    expect(deriveKeys(current, proxyOf(foreign)).scope.labels).toEqual({});
  });

  it("name the workload for telemetry, with Istio's words for what is unknown", () => {
    const { listener } = deriveKeys(current, proxyOf(node));
    expect(listener).toMatchObject({ canonicalService: "canon", canonicalRevision: "latest", meshId: "unknown" });
    expect(listener.ownHeadlessAddresses).toEqual(["10.0.0.1"]);
  });

  it("find what the workload serves by selector, UDP too, and by address where no selector matches", () => {
    const { scope, workload } = deriveKeys(current, proxyOf(node));
    expect(workload.targets).toEqual([
      { hostname: "a.ns.svc.cluster.local", namespace: "ns", port: 53, targetPort: 53 },
      { hostname: "a.ns.svc.cluster.local", namespace: "ns", port: 80, targetPort: 8080 },
    ]);
    const view = createWorkloadView(createScopeView(current, scope), workload);
    expect(view.targets.map(({ service, portName, protocol }) => [service.name, portName, protocol])).toEqual([
      ["a", "dns", "UDP"],
      ["a", "http", "HTTP"],
    ]);
    const unselected = deriveKeys(current, proxyOf({ ...node, id: node.id?.replace("10.0.0.1", "10.0.0.5") ?? "" }));
    expect(unselected.workload.targets).toEqual([
      { hostname: "head.ns.svc.cluster.local", namespace: "ns", port: 90, targetPort: 9000 },
    ]);
  });

  it("find what a pod serves that the registry does not know yet", () => {
    const metadata = { LABELS: { app: "a" }, POD_PORTS: '[{"name":"web","containerPort":7777,"protocol":"TCP"}]' };
    const early = proxyOf({ id: "sidecar~10.0.0.77~new.ns~ns.svc.cluster.local", metadata });
    expect(deriveKeys(current, early).workload.targets).toContainEqual(
      expect.objectContaining({ port: 80, targetPort: 7777 }),
    );
  });

  it("have the node only where a service of the scope stays on it, and the TLS mode of the workload", () => {
    const onNode = {
      ...node,
      metadata: { ...node.metadata, NODE_NAME: "n1", LABELS: { "security.istio.io/tlsMode": "istio" } },
    };
    const plain = deriveKeys(current, proxyOf(onNode));
    expect([plain.scope.nodeName, plain.workload.labels["security.istio.io/tlsMode"]]).toEqual([undefined, "istio"]);
    const service = (exportTo: string, namespace: string) => `${mesh}
apiVersion: v1
kind: Service
metadata: {name: near, namespace: ${namespace}, annotations: {networking.istio.io/exportTo: "${exportTo}"}}
spec: {clusterIP: 10.96.0.9, internalTrafficPolicy: Local, ports: [{name: http, port: 80}]}
`;
    const nodeOf = (yaml: string) => deriveKeys(buildMesh(yaml).current, proxyOf(onNode)).scope.nodeName;
    expect([nodeOf(service("*", "other")), nodeOf(service("~", "ns")), nodeOf(service(".", "other"))]).toEqual([
      "n1",
      "n1",
      undefined,
    ]);
  });

  it("have own addresses only where listeners are bound to them", () => {
    expect(deriveKeys(current, proxyOf(node)).workload.addresses).toEqual([]);
    const metadata = { INTERCEPTION_MODE: "NONE", INSTANCE_IPS: "10.0.0.1,10.0.0.2,fd00::1" };
    expect(deriveKeys(current, proxyOf({ ...node, metadata })).workload.addresses).toEqual(["10.0.0.1", "fd00::1"]);
  });

  it("have the locality only where a rule weighs localities", () => {
    const placed = { ...node, locality: { region: "r", zone: "z" } };
    expect(deriveKeys(current, proxyOf(placed)).scope.locality).toBeUndefined();
    const weighing = buildMesh(`${mesh}
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: d, namespace: ns}
spec: {host: a, trafficPolicy: {outlierDetection: {consecutive5xxErrors: 1}}}
`).current;
    expect(deriveKeys(weighing, proxyOf(placed)).scope.locality).toEqual({ region: "r", zone: "z", subzone: "" });
  });
});

/** Each turns the plain node into one that must have another scope. */
const scopeFields: readonly [string, NodeMessage][] = [
  ["type", { ...node, id: "router~10.0.0.1~a-x.ns~ns.svc.cluster.local" }],
  ["namespace", { ...node, metadata: { ...node.metadata, NAMESPACE: "other" } }],
  ["domain", { ...node, id: "sidecar~10.0.0.1~a-x.ns~ns.svc.other" }],
  ["cluster", { ...node, metadata: { ...node.metadata, CLUSTER_ID: "c2" } }],
  ["network", { ...node, metadata: { ...node.metadata, NETWORK: "n2" } }],
  ["version", { ...node, metadata: { CLUSTER_ID: "c1", ISTIO_VERSION: "1.30.0" } }],
  ["no extensions", { ...node, extensions: [{ name: "envoy.filters.http.router" }] }],
  ["extensions", { ...node, extensions: [{ name: "envoy.filters.http.router" }, { name: "istio.stats" }] }],
  ["http10", { ...node, metadata: { ...node.metadata, HTTP10: "1" } }],
  ["interception", { ...node, metadata: { ...node.metadata, INTERCEPTION_MODE: "TPROXY" } }],
  ["http proxy", { ...node, metadata: { ...node.metadata, HTTP_PROXY_PORT: "15002" } }],
  ["privilege", { ...node, metadata: { ...node.metadata, UNPRIVILEGED_POD: "true" } }],
  ["families", { ...node, metadata: { ...node.metadata, INSTANCE_IPS: "10.0.0.1,fd00::1" } }],
  ["dns", { ...node, metadata: { ...node.metadata, DNS_CAPTURE: "true" } }],
  ["dns allocation", { ...node, metadata: { ...node.metadata, DNS_AUTO_ALLOCATE: "true" } }],
  ["idle timeout", { ...node, metadata: { ...node.metadata, IDLE_TIMEOUT: "5s" } }],
];

it("has another scope for every field of the key, and no two of them the same", () => {
  const ids = [["plain", node] as const, ...scopeFields].map(
    ([, message]) => deriveKeys(current, proxyOf(message)).scope.id,
  );
  expect(new Set(ids).size).toBe(ids.length);
});

it("has the same keys for proxies that differ in nothing that counts", () => {
  const text = fc.stringMatching(/^[a-z0-9]{1,8}$/);
  const noise = fc.record({
    name: text,
    node: text,
    label: text,
    account: text,
    feature: text,
    address: fc.integer({ min: 100, max: 250 }),
  });
  const keysFor = ({
    name,
    node: nodeName,
    label,
    account,
    feature,
    address,
  }: {
    name: string;
    node: string;
    label: string;
    account: string;
    feature: string;
    address: number;
  }) =>
    deriveKeys(
      current,
      proxyOf({
        id: `sidecar~10.0.9.${address}~${name}.ns~ns.svc.cluster.local`,
        metadata: {
          CLUSTER_ID: "c1",
          NODE_NAME: nodeName,
          LABELS: { noise: label },
          SERVICE_ACCOUNT: account,
          WORKLOAD_NAME: name,
        },
        user_agent_name: feature,
        client_features: [feature],
        locality: { region: label },
      }),
    );
  fc.assert(
    fc.property(noise, noise, (one, two) => {
      const [a, b] = [keysFor(one), keysFor(two)];
      expect(a.workload.id).toBe(b.workload.id);
      expect(createScopeView(current, a.scope)).toBe(createScopeView(current, b.scope));
    }),
    { numRuns: 100 },
  );
});

describe("a ProxyConfig in the metadata", () => {
  const scopeWith = (config: unknown) => {
    const node = parseNode({ id: "sidecar~10.0.0.1~a-x.ns~ns.svc.cluster.local", metadata: { PROXY_CONFIG: config } });
    if (typeof node === "string") throw new Error(node);
    return deriveKeys(buildMesh(mesh).current, node).scope;
  };

  it("parts scopes where translation reads it, and only there", () => {
    const plain = scopeWith(undefined);
    expect(scopeWith({ concurrency: 4, drainDuration: "10s" }).id).toBe(plain.id);
    expect(scopeWith({ proxyHeaders: { server: { disabled: true } } }).id).not.toBe(plain.id);
  });

  it("counts for nothing where it cannot be read", () => {
    for (const config of ["text", [], { proxyHeaders: 7 }, { tracing: { sampling: "much" } }]) {
      expect(scopeWith(config).id).toBe(scopeWith(undefined).id);
    }
  });
});
