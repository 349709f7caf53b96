import { describe, expect, it } from "vitest";
import { buildMesh } from "../../test/support/mesh-objects.ts";

const service = `
apiVersion: v1
kind: Service
metadata: {name: a, namespace: ns}
spec: {clusterIP: 10.96.0.1, selector: {app: a}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
`;
const pod = `
apiVersion: v1
kind: Node
metadata: {name: n1, labels: {topology.kubernetes.io/region: r1, topology.kubernetes.io/zone: z1, topology.istio.io/subzone: s1}}
---
apiVersion: v1
kind: Pod
metadata:
  name: a-5d8f-x
  namespace: ns
  labels: {app: a, pod-template-hash: 5d8f, security.istio.io/tlsMode: istio, topology.istio.io/network: net}
  ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: a-5d8f, uid: u, controller: true}]
spec: {nodeName: n1, serviceAccountName: sa, hostname: h, subdomain: a, containers: [{name: c, image: i}]}
status: {phase: Running, podIP: 10.0.0.1, podIPs: [{ip: 10.0.0.1}, {ip: 'fd00::1'}], conditions: [{type: Ready, status: 'True'}]}
---
`;
const slice = (endpoints: string, name = "a-1", ports = "[{name: http, port: 8080, protocol: TCP}]"): string => `
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: ${name}, namespace: ns, labels: {kubernetes.io/service-name: a}}
addressType: IPv4
ports: ${ports}
endpoints: [${endpoints}]
---
`;
const ofPod =
  "{addresses: [10.0.0.1], conditions: {ready: true}, targetRef: {kind: Pod, name: a-5d8f-x, namespace: ns}}";
const list = (yaml: string) => buildMesh(yaml).current.endpoints.list("a.ns.svc.cluster.local", "ns");

describe("endpoints of slices", () => {
  it("have what their pod and its node say", () => {
    expect(list(service + pod + slice(ofPod))).toEqual([
      {
        address: "10.0.0.1",
        additionalAddresses: [],
        port: 8080,
        servicePortName: "http",
        labels: {
          app: "a",
          "pod-template-hash": "5d8f",
          "security.istio.io/tlsMode": "istio",
          "topology.istio.io/network": "net",
          "topology.kubernetes.io/region": "r1",
          "topology.kubernetes.io/zone": "z1",
          "topology.istio.io/subzone": "s1",
          "topology.istio.io/cluster": "Kubernetes",
          "kubernetes.io/hostname": "n1",
        },
        namespace: "ns",
        serviceAccount: "sa",
        workloadName: "a",
        network: "net",
        locality: { region: "r1", zone: "z1", subzone: "s1" },
        clusterId: "Kubernetes",
        weight: 0,
        tlsMode: "istio",
        health: "HEALTHY",
        nodeName: "n1",
        hostName: "h",
        subDomain: "a",
      },
    ]);
  });

  it("are as many as a member has addresses", () => {
    const found = list(service + slice("{addresses: [10.0.0.7, 10.0.0.8]}"));
    expect(found.map(({ address }) => address)).toEqual(["10.0.0.7", "10.0.0.8"]);
  });

  it("wait for a pod that they name, because what is unknown would pass for plain text", () => {
    expect(list(service + slice(ofPod))).toEqual([]);
  });

  it("find their pod by address where they name none", () => {
    expect(list(service + pod + slice("{addresses: [10.0.0.1]}"))[0]?.tlsMode).toBe("istio");
    expect(list(service + slice("{addresses: [10.0.0.1]}"))[0]).toMatchObject({ tlsMode: "disabled", namespace: "" });
  });

  it.each([
    ["ready: true", "", "HEALTHY"],
    ["ready: false, terminating: false", "", "UNHEALTHY"],
    // What says nothing of going away counts as on its way out, as in Istio.
    ["ready: false", "", "TERMINATING"],
    ["ready: false, terminating: true", "istio.io/persistent-session-header: x-session", "DRAINING"],
    ["ready: false, serving: true, terminating: true", "", "TERMINATING"],
    ["ready: false, serving: true, terminating: true", "istio.io/persistent-session: cookie", "DRAINING"],
    ["ready: false, serving: false, terminating: true", "istio.io/persistent-session: cookie", "TERMINATING"],
  ])("with conditions {%s} of a service labelled {%s} are %s", (conditions, labels, expected) => {
    const labelled = service.replace("namespace: ns", `namespace: ns, labels: {${labels}}`);
    expect(list(labelled + slice(`{addresses: [10.0.0.2], conditions: {${conditions}}}`))[0]?.health).toBe(expected);
  });

  it("are as ready as Kubernetes says, also where the service publishes those that are not", () => {
    const wanting = service.replace("spec: {", "spec: {publishNotReadyAddresses: true, ");
    expect(list(wanting + slice("{addresses: [10.0.0.2], conditions: {ready: true}}"))[0]?.health).toBe("HEALTHY");
  });

  it("take a pod of another namespace with the same address for a stranger", () => {
    const elsewhere = pod.replaceAll("namespace: ns", "namespace: other");
    expect(list(service + elsewhere + slice("{addresses: [10.0.0.1]}"))[0]).toMatchObject({ tlsMode: "disabled" });
  });
});

describe("endpoints of a service", () => {
  it("come from all slices in order of their names, each address and port once", () => {
    const both =
      slice("{addresses: [10.0.0.3]}, {addresses: [10.0.0.2]}", "a-2") + slice("{addresses: [10.0.0.2]}", "a-1");
    expect(list(service + both).map((endpoint) => endpoint.address)).toEqual(["10.0.0.2", "10.0.0.3"]);
  });

  it("leave out slices of names and those imported from another cluster", () => {
    const imported = slice("{addresses: [10.0.0.2]}").replace(
      "kubernetes.io/service-name: a",
      "kubernetes.io/service-name: a, multicluster.kubernetes.io/service-name: a",
    );
    const names = slice("{addresses: [x.example]}", "a-3").replace("IPv4", "FQDN");
    expect(list(service + imported + names)).toEqual([]);
  });

  it("come from an Endpoints object only where there is no slice", () => {
    const legacy = `
apiVersion: v1
kind: Endpoints
metadata: {name: a, namespace: ns}
subsets: [{addresses: [{ip: 10.0.0.7}], notReadyAddresses: [{ip: 10.0.0.8}], ports: [{name: http, port: 8080}]}]
---
`;
    expect(list(service + legacy).map(({ address, health }) => [address, health])).toEqual([
      ["10.0.0.7", "HEALTHY"],
      ["10.0.0.8", "UNHEALTHY"],
    ]);
    expect(list(service + legacy + slice("{addresses: [10.0.0.2]}")).map(({ address }) => address)).toEqual([
      "10.0.0.2",
    ]);
  });

  it("include workload entries that the service selects, on their own ports", () => {
    const entry = (name: string, ports: string): string => `
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: ${name}, namespace: ns}
spec: {address: 10.1.0.1, labels: {app: a}, serviceAccount: vm, weight: 2${ports}}
---
`;
    expect(list(service + entry("vm", ""))).toMatchObject([
      { address: "10.1.0.1", port: 8080, tlsMode: "istio", workloadName: "vm", weight: 2, health: "UNKNOWN" },
    ]);
    expect(list(service + entry("vm", ", ports: {http: 9000}"))[0]?.port).toBe(9000);
    expect(list(service + entry("vm", "").replace("10.1.0.1", "vm.example"))).toEqual([]);
    expect(list(service + entry("vm", "").replace("10.1.0.1", "unix:///run/vm"))).toEqual([]);
    const named = service.replace("targetPort: 8080", "targetPort: web");
    expect(list(named + entry("vm", ""))).toEqual([]);
    expect(list(named + entry("vm", ", ports: {web: 9001}"))[0]?.port).toBe(9001);
  });

  it("take their network from the system namespace where the pod names none", () => {
    const namespace = `
apiVersion: v1
kind: Namespace
metadata: {name: istio-system, labels: {topology.istio.io/network: main}}
---
`;
    const networks = list(namespace + service + pod + slice(`${ofPod}, {addresses: [10.0.0.2]}`));
    expect(networks.map((endpoint) => endpoint.network)).toEqual(["net", "main"]);
  });
});
