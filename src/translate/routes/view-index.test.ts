import { describe, expect, it } from "vitest";
import { applyObjects, createTestMesh } from "../../../test/support/mesh-objects.ts";
import { kubePort, kubeService, virtualService } from "../../../test/support/sample-objects.ts";
import type { ResolvedVirtualService } from "../../snapshot/snapshot.ts";
import { indexServices, indexVirtualServices, indexWildcardServices } from "./view-index.ts";

function resolved(hosts: Readonly<Record<string, readonly string[]>>): readonly ResolvedVirtualService[] {
  const objects = Object.entries(hosts).map(([name, list], index) =>
    virtualService(name, { hosts: list, http: [] }, { creationTimestamp: `2026-01-0${index + 1}T00:00:00Z` }),
  );
  return applyObjects(createTestMesh(), ...objects).virtualServices;
}

const nameOf = (found: ResolvedVirtualService | undefined): string | undefined => found?.object.meta.name;

describe("indexVirtualServices", () => {
  const list = resolved({
    all: ["*"],
    wide: ["*.example.com"],
    dash: ["*-a.example.com"],
    exact: ["x.example.com", "y.example.com"],
    younger: ["x.example.com", "*.example.com"],
    deep: ["*.deep.example.com"],
  });
  const index = indexVirtualServices(list);

  it.each([
    ["x.example.com", "exact"],
    ["z.example.com", "wide"],
    ["a.deep.example.com", "deep"],
    ["x-a.example.com", "dash"],
    ["other.org", "all"],
    ["*.example.com", "wide"],
    ["*.sub.example.com", "wide"],
  ])("finds the most specific for %s", (hostname, expected) => {
    expect(nameOf(index.findMostSpecific(hostname))).toBe(expected);
  });

  it("lists all for a host, oldest first", () => {
    expect(index.listForHost("x.example.com").map(nameOf)).toEqual(["all", "wide", "exact", "younger"]);
    expect(index.listForHost("*.deep.example.com").map(nameOf)).toEqual(["all", "wide", "younger", "deep"]);
  });

  it("is made once for a list", () => {
    expect(indexVirtualServices(list)).toBe(index);
  });
});

describe("indexServices", () => {
  const services = applyObjects(
    createTestMesh(),
    kubeService("a", { clusterIP: "10.96.0.1", ports: [kubePort("http", 80), kubePort("tcp", 81)] }),
    kubeService("b", { clusterIP: "10.96.0.2", ports: [kubePort("http", 80)] }),
  ).services.all;

  it("finds services by port and by name", () => {
    const index = indexServices(services);
    expect(index.listByPort(80).map(({ name }) => name)).toEqual(["a", "b"]);
    expect(index.listByPort(81).map(({ name }) => name)).toEqual(["a"]);
    expect(index.listByPort(82)).toEqual([]);
    expect(index.byHostname.get("b.bookinfo.svc.cluster.local")?.name).toBe("b");
  });

  it("finds services that a wildcard covers", () => {
    const covered = indexWildcardServices(services, resolved({ w: ["*.bookinfo.svc.cluster.local", "*.other"] }));
    expect(covered.get("*.bookinfo.svc.cluster.local")?.map(({ name }) => name)).toEqual(["a", "b"]);
    expect(covered.get("*.other")).toEqual([]);
  });
});
