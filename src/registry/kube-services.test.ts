import { describe, expect, it } from "vitest";
import { buildMesh } from "../../test/support/mesh-objects.ts";

const service = (metadata: string, spec: string): string => `
apiVersion: v1
kind: Service
metadata: {name: a, namespace: ns${metadata}}
spec: {${spec}}
---
`;
const convert = (metadata: string, spec: string) => buildMesh(service(metadata, spec)).current.services.all[0];

describe("a Kubernetes service", () => {
  it("has the cluster's name, its addresses and ports", () => {
    expect(
      convert(
        "",
        "clusterIP: 10.96.0.1, clusterIPs: [10.96.0.1, 'fd00::1'], ports: [{name: http, port: 80, targetPort: web}]",
      ),
    ).toMatchObject({
      hostname: "a.ns.svc.cluster.local",
      addresses: ["10.96.0.1", "fd00::1"],
      resolution: "clientSideLb",
      ports: [{ name: "http", number: 80, protocol: "HTTP", targetPort: "web" }],
      isHeadless: false,
      meshExternal: false,
      object: { kind: "Service", namespace: "ns", name: "a" },
    });
  });

  it.each([
    ["clusterIP: None", "passthrough", true],
    ["type: ExternalName, externalName: x.example", "alias", false],
    ["", "clientSideLb", false],
  ])("with {%s} resolves by %s", (spec, resolution, isHeadless) => {
    expect(convert("", spec)).toMatchObject({ resolution, isHeadless, addresses: [] });
  });

  it("says in annotations who may see it and which accounts run it", () => {
    const annotations =
      ", annotations: {networking.istio.io/exportTo: 'x, .', alpha.istio.io/kubernetes-serviceaccounts: 'one,two', alpha.istio.io/canonical-serviceaccounts: 'spiffe://other/x'}";
    const converted = convert(annotations, "clusterIP: None");
    expect([...(converted?.exportTo ?? [])]).toEqual([".", "x"]);
    expect(converted?.subjectAltNames).toEqual([
      "spiffe://other/x",
      "spiffe://cluster.local/ns/ns/sa/one",
      "spiffe://cluster.local/ns/ns/sa/two",
    ]);
  });

  it.each([
    [", annotations: {networking.istio.io/traffic-distribution: PreferClose}", "clusterIP: None", "PreferClose"],
    ["", "clusterIP: None, trafficDistribution: PreferSameNode", "PreferSameNode"],
    ["", "clusterIP: None, trafficDistribution: Sideways", undefined],
  ])("keeps traffic near as stated by %s %s", (metadata, spec, expected) => {
    expect(convert(metadata, spec)?.trafficDistribution).toBe(expected);
  });

  it("is the alias of its target through any number of names, and of nothing in a circle", () => {
    const external = (name: string, target: string): string =>
      service("", `type: ExternalName, externalName: ${target}.ns.svc.cluster.local`).replace(
        "name: a",
        `name: ${name}`,
      );
    const { services } = buildMesh(
      [
        service("", "clusterIP: 10.96.0.1"),
        external("b", "a"),
        external("c", "b"),
        external("x", "y"),
        external("y", "x"),
      ].join(""),
    ).current;
    expect(services.find("a.ns.svc.cluster.local", "ns")?.aliases.map((alias) => alias.hostname)).toEqual([
      "b.ns.svc.cluster.local",
      "c.ns.svc.cluster.local",
    ]);
    expect(services.find("x.ns.svc.cluster.local", "ns")?.aliases).toEqual([]);
  });
});
