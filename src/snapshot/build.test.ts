import { describe, expect, it } from "vitest";
import { buildMesh, parseMeshObjects, setObjects } from "../../test/support/mesh-objects.ts";
import { createSnapshotBuilder } from "./build.ts";

const config = (text: string): string => `
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data: {mesh: '${text}'}
---
`;
const service = (name: string): string => `
apiVersion: v1
kind: Service
metadata: {name: ${name}, namespace: ns}
spec: {clusterIP: 10.96.0.1, ports: [{name: http, port: 80}]}
---
`;
const rule = (name: string, destination: string): string => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ${name}, namespace: ns}
spec: {hosts: [a], http: [{route: [{destination: {${destination}}}]}]}
---
`;

describe("the settings of the mesh", () => {
  it("come from the ConfigMap, and what reads the same is the same", () => {
    const builder = buildMesh(config("trustDomain: td"));
    const { mesh } = builder.current;
    expect(mesh.trustDomain).toBe("td");
    const change = builder.apply(setObjects(parseMeshObjects(config("trustDomain: td # a remark"))));
    expect(change.after.mesh).toBe(mesh);
    expect([...change.kinds]).toEqual(["ConfigMap"]);
  });

  it("stay as they were where the new text is bad, and the text is reported", () => {
    const builder = buildMesh(config("trustDomain: td"));
    const change = builder.apply(setObjects(parseMeshObjects(config("trustDomain: [1"))));
    expect(change.after.mesh.trustDomain).toBe("td");
    expect(change.after.messages).toMatchObject([{ level: "error", object: { kind: "ConfigMap", name: "istio" } }]);
    builder.apply(setObjects(parseMeshObjects(config("trustDomain: other"))));
    expect(builder.current.messages).toEqual([]);
  });

  it("name the field that is wrong, also in the networks, which stay as they were, too", () => {
    const text = (mesh: string, networks: string) => config(mesh).replace("'}", `', meshNetworks: '${networks}'}`);
    const builder = buildMesh(text("trustDomain: td", "networks: {n: {gateways: [{address: 1.2.3.4, port: 1}]}}"));
    const { meshNetworks } = builder.current;
    expect(meshNetworks.networks?.["n"]?.gateways).toEqual([{ address: "1.2.3.4", port: 1 }]);
    const bad = text("connectTimeout: 0s", "networks: {n: {gateways: [{address: 1.2.3.4, port: 0}]}}");
    const change = builder.apply(setObjects(parseMeshObjects(bad)));
    expect(change.after.mesh.trustDomain).toBe("td");
    expect(change.after.meshNetworks).toBe(meshNetworks);
    expect(change.after.messages.map((message) => message.path)).toEqual([
      "connectTimeout",
      "meshNetworks.networks.n.gateways[0].port",
    ]);
  });

  it("lie over those of a shared ConfigMap, and go back to those when they are gone", () => {
    const named = (name: string, text: string) => config(text).replace("name: istio,", `name: ${name},`);
    const ref = { kind: "ConfigMap", namespace: "istio-system", name: "istio-canary" };
    const builder = createSnapshotBuilder({
      domain: "cluster.local",
      clusterId: "Kubernetes",
      meshConfigName: ref.name,
      sharedMeshConfigName: "shared",
    });
    const shared = named("shared", "{trustDomain: a, rootNamespace: root}");
    builder.apply(setObjects(parseMeshObjects(shared + named(ref.name, "trustDomain: b"))));
    expect(builder.current.mesh).toMatchObject({ trustDomain: "b", rootNamespace: "root" });
    builder.apply({ changes: [{ type: "deleted", ref }], problems: [] });
    expect(builder.current.mesh).toMatchObject({ trustDomain: "a", rootNamespace: "root" });
  });

  it("decide of services that state nothing themselves", () => {
    const builder = buildMesh(service("a"));
    const change = builder.apply(setObjects(parseMeshObjects(config('defaultServiceExportTo: ["."]'))));
    expect([...change.services]).toEqual(["ns/a.ns.svc.cluster.local"]);
    expect([...(change.after.services.all[0]?.exportTo ?? [])]).toEqual(["."]);
    builder.apply({
      changes: [{ type: "deleted", ref: { kind: "ConfigMap", namespace: "istio-system", name: "istio" } }],
      problems: [],
    });
    expect([...(builder.current.services.all[0]?.exportTo ?? [])]).toEqual(["*"]);
  });
});

describe("a change", () => {
  it("of a rule leaves services and endpoints alone", () => {
    const builder = buildMesh(service("a"));
    const { before, after, kinds, objects } = builder.apply(setObjects(parseMeshObjects(rule("v", "host: a"))));
    expect(after.services).toBe(before?.services);
    expect(after.endpoints).toBe(before?.endpoints);
    expect([...kinds]).toEqual(["VirtualService"]);
    expect(objects).toEqual([{ kind: "VirtualService", namespace: "ns", name: "v" }]);
  });

  it("that a later one of the same set undoes is none", () => {
    const builder = buildMesh(service("a"));
    const [object] = parseMeshObjects(service("b"));
    if (object === undefined) throw new Error("no object");
    const change = builder.apply({
      changes: [
        { type: "set", object },
        { type: "deleted", ref: { kind: "Service", namespace: "ns", name: "b" } },
      ],
      problems: [],
    });
    expect(change.objects).toEqual([]);
    expect(change.after.services).toBe(change.before?.services);
    expect(change.after.generation).toBe(2);
  });

  it("has no snapshot before the first one", () => {
    expect(buildMesh("").current.generation).toBe(1);
    expect(buildMesh("").apply({ changes: [], problems: [] }).before?.generation).toBe(1);
  });

  it("replaces the problems of its source and leaves those of others", () => {
    const builder = buildMesh("");
    const problem = (text: string) => ({
      level: "error" as const,
      code: "x",
      object: { kind: "A", namespace: "", name: "a" },
      path: "",
      text,
    });
    builder.apply({ changes: [], problems: [problem("one")] }, "first");
    builder.apply({ changes: [], problems: [problem("two")] }, "second");
    builder.apply({ changes: [], problems: [problem("three")] }, "first");
    expect(builder.current.messages.map(({ text }) => text).sort()).toEqual(["three", "two"]);
  });
});

it.each([
  ["host: missing", "unknown-host", "spec.http[0].route[0].destination.host"],
  ["host: a, subset: v9", "unknown-subset", "spec.http[0].route[0].destination.subset"],
  ["host: a, port: {number: 81}", "unknown-port", "spec.http[0].route[0].destination.port.number"],
])("says that {%s} leads nowhere", (destination, code, path) => {
  const { messages } = buildMesh(service("a") + rule("v", destination)).current;
  expect(messages).toMatchObject([{ level: "warning", code, path, object: { kind: "VirtualService", name: "v" } }]);
});
