import { describe, expect, it } from "vitest";
import { applyObjects, createTestMesh } from "../../../test/support/mesh-objects.ts";
import { kubePort, kubeService } from "../../../test/support/sample-objects.ts";
import { testKey } from "../../../test/support/scope-views.ts";
import { listClientAddresses, listServiceDomains, listShortForms } from "./host-domains.ts";

describe("listShortForms", () => {
  it.each([
    ["a.ns.svc.cluster.local", "ns.svc.cluster.local", ["a.ns.svc.cluster.local.", "a", "a.ns.svc", "a.ns"]],
    ["a.other.svc.cluster.local", "ns.svc.cluster.local", ["a.other.svc.cluster.local.", "a.other", "a.other.svc"]],
    ["a.ns.svc.other.example", "ns.svc.cluster.local", ["a.ns.svc.other.example."]],
    ["api.example.com", "ns.svc.cluster.local", ["api.example.com."]],
    ["*.wild.example.com", "ns.svc.cluster.local", ["*.wild.example.com."]],
    ["foo.local.campus.net", "local.campus.net", ["foo.local.campus.net.", "foo"]],
    ["foo.local.campus.net", "remote.campus.net", ["foo.local.campus.net.", "foo.local", "foo.local.campus"]],
    ["foo.example.com", "remote.campus.net", ["foo.example.com."]],
    ["192.0.2.7", "ns.svc.cluster.local", []],
  ])("shortens %s for %s", (hostname, dnsDomain, expected) => {
    expect(listShortForms(hostname, dnsDomain)).toEqual(expected);
  });
});

describe("listServiceDomains", () => {
  const domainsOf = (spec: Parameters<typeof kubeService>[1], port?: number): readonly string[] => {
    const snapshot = applyObjects(createTestMesh(), kubeService("a", { ports: [kubePort("http", 80)], ...spec }));
    const [service] = snapshot.services.byHostname("a.bookinfo.svc.cluster.local");
    return service === undefined ? [] : listServiceDomains(testKey, service, port).domains;
  };

  it("adds the address of the service", () => {
    expect(domainsOf({ clusterIP: "10.96.0.9" }).at(-1)).toBe("10.96.0.9");
  });

  it("adds no address of a family that the proxy lacks", () => {
    const snapshot = applyObjects(createTestMesh(), kubeService("a", { clusterIP: "10.96.0.9" }));
    const [service] = snapshot.services.all;
    const scope = { ...testKey, ipFamilies: { v4: false, v6: true } };
    expect(service && listServiceDomains(scope, service).domains).not.toContain("10.96.0.9");
  });

  it("adds names of pods for a headless service, and no address", () => {
    const domains = domainsOf({ clusterIP: "None" });
    expect(domains).toContain("*.a.bookinfo.svc.cluster.local");
    expect(domains).toContain("*.a");
    expect(domains).toHaveLength(10);
  });

  it("adds the forms with a port where hosts are compared with their port", () => {
    expect(domainsOf({ clusterIP: "10.96.0.9" }, 80)).toEqual(
      expect.arrayContaining(["a", "a:80", "a.bookinfo", "a.bookinfo:80", "10.96.0.9", "10.96.0.9:80"]),
    );
  });
});

describe("listClientAddresses", () => {
  const addressesOf = (clusterIPs: readonly string[], ipFamilies: { readonly v4: boolean; readonly v6: boolean }) => {
    const snapshot = applyObjects(createTestMesh(), kubeService("a", { clusterIP: clusterIPs[0] ?? "", clusterIPs }));
    const [service] = snapshot.services.all;
    return service === undefined ? undefined : listClientAddresses({ ...testKey, ipFamilies }, service);
  };
  const both = ["fd00::1", "10.96.0.9"];

  it.each([
    [both, { v4: true, v6: false }, ["10.96.0.9"]],
    [both, { v4: false, v6: true }, ["fd00::1"]],
    [both, { v4: true, v6: true }, ["fd00::1"]],
    [["10.96.0.9"], { v4: false, v6: true }, ["10.96.0.9"]],
    [[], { v4: true, v6: false }, []],
  ])("takes of %j for %j", (clusterIPs, families, expected) => {
    expect(addressesOf(clusterIPs, families)).toEqual(expected);
  });

  it("takes an address of the mesh's own only where the proxy answers DNS", () => {
    const snapshot = applyObjects(createTestMesh(), kubeService("a", { clusterIP: "None" }));
    const [service] = snapshot.services.all.map((found) => ({ ...found, autoAllocatedAddress: "240.240.0.1" }));
    expect(service && listClientAddresses(testKey, service)).toEqual([]);
    expect(service && listClientAddresses({ ...testKey, dnsCapture: true }, service)).toEqual(["240.240.0.1"]);
  });
});
