import { describe, expect, it } from "vitest";
import { buildMesh } from "../../test/support/mesh-objects.ts";

const entry = (spec: string, name = "e"): string => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}, namespace: ns}
spec: {${spec}}
---
`;
const workload = (name: string, spec: string, labels = ""): string => `
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: ${name}, namespace: ns, labels: {${labels}}}
spec: {${spec}}
---
`;
const port = "ports: [{number: 80, name: http, protocol: HTTP, targetPort: 8080}]";
const list = (yaml: string, host = "a.example") => buildMesh(yaml).current.endpoints.list(host, "ns");

describe("a service entry", () => {
  it("is one service for each host", () => {
    const { services } = buildMesh(
      entry(
        `hosts: [a.example, b.example], addresses: [192.0.2.1/32, 192.0.3.0/24], ${port}, resolution: STATIC, exportTo: ['.'], subjectAltNames: [x]`,
      ),
    ).current;
    expect(services.all.map((service) => service.hostname)).toEqual(["a.example", "b.example"]);
    expect(services.all[0]).toMatchObject({
      name: "a.example",
      registry: "External",
      addresses: ["192.0.2.1", "192.0.3.0/24"],
      resolution: "clientSideLb",
      meshExternal: true,
      ports: [{ name: "http", number: 80, protocol: "HTTP", targetPort: 8080 }],
      exportTo: new Set(["."]),
      subjectAltNames: ["x"],
      object: { kind: "ServiceEntry", namespace: "ns", name: "e" },
    });
  });

  it.each([
    ["NONE", "passthrough"],
    ["DNS", "dnsLb"],
    ["DNS_ROUND_ROBIN", "dnsRoundRobin"],
    ["DYNAMIC_DNS", "dynamicDns"],
  ])("of resolution %s resolves by %s", (resolution, expected) => {
    const host = resolution === "DYNAMIC_DNS" ? "*.a.example" : "a.example";
    const { services } = buildMesh(entry(`hosts: ['${host}'], ${port}, resolution: ${resolution}`)).current;
    expect(services.all[0]?.resolution).toBe(expected);
  });

  it("stands for itself where DNS is to find it", () => {
    expect(list(entry(`hosts: [a.example], ${port}, resolution: DNS`))).toMatchObject([
      { address: "a.example", port: 8080, workloadName: "e", tlsMode: "disabled", health: "UNKNOWN", labels: {} },
    ]);
  });

  it("takes no name of a port for one of JavaScript's", () => {
    const named = "ports: [{number: 80, name: constructor, protocol: HTTP}]";
    const endpoints = "endpoints: [{address: 10.0.0.1, ports: {}}]";
    expect(list(entry(`hosts: [a.example], ${named}, resolution: STATIC, ${endpoints}`))).toMatchObject([{ port: 80 }]);
  });

  it("has the endpoints that it lists, with the ports of their own map first", () => {
    const endpoints =
      "endpoints: [{address: 10.0.0.1, weight: 3, locality: r/z/s, network: n, serviceAccount: sa}, {address: 10.0.0.2, ports: {http: 9090}, labels: {security.istio.io/tlsMode: disabled}, serviceAccount: sa}, {address: 'unix:///run/a.sock'}]";
    expect(list(entry(`hosts: [a.example], ${port}, resolution: STATIC, ${endpoints}`))).toMatchObject([
      {
        address: "10.0.0.1",
        port: 8080,
        weight: 3,
        network: "n",
        tlsMode: "istio",
        workloadName: "e-0",
        locality: { region: "r", zone: "z", subzone: "s" },
      },
      { address: "10.0.0.2", port: 9090, tlsMode: "disabled", workloadName: "e-1", serviceAccount: "sa" },
      { address: "unix:///run/a.sock", port: 0 },
    ]);
  });

  it("has the workload entries and pods that it selects", () => {
    const pod = `
apiVersion: v1
kind: Pod
metadata: {name: p, namespace: ns, labels: {app: vm}}
spec: {containers: [{name: c, image: i, ports: [{name: http, containerPort: 7000}]}]}
status: {phase: Running, podIP: 10.0.0.9, podIPs: [{ip: 10.0.0.9}], conditions: [{type: Ready, status: 'True'}]}
---
`;
    const yaml =
      entry(`hosts: [a.example], ${port}, resolution: STATIC, workloadSelector: {labels: {app: vm}}`) +
      workload("one", "address: 10.0.0.1, labels: {app: vm}") +
      workload("two", "address: 10.0.0.2", "app: vm") +
      workload("other", "address: 10.0.0.3, labels: {app: other}") +
      pod;
    expect(list(yaml).map(({ address, port: number, health }) => [address, number, health])).toEqual([
      ["10.0.0.9", 7000, "HEALTHY"],
      ["10.0.0.1", 8080, "UNKNOWN"],
      ["10.0.0.2", 8080, "UNKNOWN"],
    ]);
  });

  it("shares a host with others of its namespace: ports and endpoints add up, the service of Kubernetes leads", () => {
    const kube = `
apiVersion: v1
kind: Service
metadata: {name: a, namespace: ns}
spec: {clusterIP: 10.96.0.1, ports: [{name: http, port: 80}]}
---
`;
    const host = "a.ns.svc.cluster.local";
    const more =
      "ports: [{number: 81, name: more, protocol: TCP}], resolution: STATIC, endpoints: [{address: 10.0.0.1}]";
    const { services, endpoints } = buildMesh(entry(`hosts: [${host}], ${more}`) + kube).current;
    expect(services.byHostname(host)).toHaveLength(1);
    expect(services.all[0]).toMatchObject({ registry: "Kubernetes", ports: [{ number: 80 }, { number: 81 }] });
    expect(endpoints.list(host, "ns")).toMatchObject([{ address: "10.0.0.1", servicePortName: "more" }]);
  });
});

it.each([
  ["STATIC", []],
  ["NONE", []],
  ["DNS", ["vm.example"]],
  ["DNS_ROUND_ROBIN", ["vm.example"]],
])("of resolution %s selects of workload entries with a name %j", (resolution, expected) => {
  const selecting = entry(
    `hosts: [a.example], ${port}, resolution: ${resolution}, workloadSelector: {labels: {app: a}}`,
  );
  const found = list(selecting + workload("vm", "address: vm.example, labels: {app: a}"));
  expect(found.map(({ address }) => address)).toEqual(expected);
});
