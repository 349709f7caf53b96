import { describe, expect, it } from "vitest";
import { buildMesh, parseMeshObjects, setObjects } from "../../test/support/mesh-objects.ts";
import { allocateAddresses } from "./address-allocation.ts";

const prefixes = { v4: "240.240.0.0/16", v6: "2001:2::/48" };

const entry = (name: string, spec: string, labels = ""): string => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}, namespace: ns, labels: {${labels}}}
spec: {hosts: [${name}.example], ports: [{number: 80, name: http, protocol: HTTP}], ${spec}}
---
`;
const addressOf = (yaml: string) => buildMesh(yaml).current.services.all[0]?.autoAllocatedAddress;

describe("an address of its own", () => {
  it.each([
    ["resolution: DNS", "", true],
    ["resolution: STATIC", "", true],
    ["resolution: NONE", "", false],
    ["resolution: STATIC, addresses: [192.0.2.1]", "", false],
    ["resolution: DNS", "networking.istio.io/enable-autoallocate-ip: 'false'", false],
  ])("with {%s} labelled {%s}: %s", (spec, labels, expected) => {
    const address = addressOf(entry("a", spec, labels));
    if (expected) expect(address).toMatch(/^240\.240\.\d+\.\d+$/);
    else expect(address).toBeUndefined();
  });

  it("stays while other services come and go", () => {
    const builder = buildMesh(entry("a", "resolution: DNS"));
    const before = builder.current.services.find("a.example", "ns");
    builder.apply(setObjects(parseMeshObjects(entry("b", "resolution: DNS"))));
    expect(builder.current.services.find("a.example", "ns")).toBe(before);
    expect(builder.current.services.find("b.example", "ns")?.autoAllocatedAddress).not.toBe(
      before?.autoAllocatedAddress,
    );
  });

  it("is nobody else's, also where many share the few there are", () => {
    const one = buildMesh(entry("a", "resolution: DNS")).current.services.all[0];
    if (one === undefined) throw new Error("no service");
    const many = Array.from({ length: 20_000 }, (_, index) => ({
      ...one,
      hostname: `h${index}.example`,
      name: `h${index}`,
    }));
    const addresses = [...allocateAddresses({ services: many, written: new Set(), prefixes }).values()];
    expect(new Set(addresses.map(({ v4 }) => v4)).size).toBe(many.length);
    expect(new Set(addresses.map(({ v6 }) => v6)).size).toBe(many.length);
    expect(addresses.filter(({ v4 = "" }) => /\.(0|255)$/.test(v4))).toEqual([]);
  });

  it("is one that nobody has written for another service", () => {
    const [first] = [addressOf(entry("a", "resolution: DNS"))];
    const builder = buildMesh(entry("a", "resolution: DNS") + entry("b", `resolution: STATIC, addresses: [${first}]`));
    const find = () => builder.current.services.find("a.example", "ns")?.autoAllocatedAddress;
    expect(find()).toMatch(/^240\.240\./);
    expect(find()).not.toBe(first);
    builder.apply({
      changes: [{ type: "deleted", ref: { kind: "ServiceEntry", namespace: "ns", name: "b" } }],
      problems: [],
    });
    expect(find()).toBe(first);
  });

  it.each([
    ["192.0.2.0/30", "", ["192.0.2.1", "192.0.2.2"]],
    ["", "2001:db8::/126", ["2001:db8::1", "2001:db8::2"]],
    ["none", "", []],
  ])("comes from the blocks {%s} {%s}, as long as there are any", (v4, v6, expected) => {
    const one = buildMesh(entry("a", "resolution: DNS")).current.services.all[0];
    if (one === undefined) throw new Error("no service");
    const three = ["x", "y", "z"].map((name) => ({ ...one, hostname: name, name }));
    const given = allocateAddresses({ services: three, written: new Set(), prefixes: { v4, v6 } });
    expect([...given.values()].flatMap(Object.values).sort()).toEqual(expected);
  });
});

describe("an address that a status gives", () => {
  const withStatus = (name: string, address: string, created = "2026-01-01T00:00:00Z", resolution = "DNS"): string => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}, namespace: ns, creationTimestamp: "${created}"}
spec: {hosts: [${name}.example], ports: [{number: 80, name: http, protocol: HTTP}], resolution: ${resolution}}
status: {addresses: [{host: ${name}.example, value: ${address}}, {host: ${name}.example, value: "2001:2::9"}, {host: other, value: 240.240.9.9}]}
---
`;
  const find = (yaml: string, name: string) => buildMesh(yaml).current.services.find(`${name}.example`, "ns");

  it("is the service's own, in both families", () => {
    const service = find(withStatus("a", "240.240.7.7"), "a");
    expect(service?.autoAllocatedAddress).toBe("240.240.7.7");
    expect(service?.autoAllocatedAddressV6).toBe("2001:2::9");
  });

  it("stays with the older one where two have it", () => {
    const both = withStatus("a", "240.240.7.7", "2026-02-01T00:00:00Z") + withStatus("b", "240.240.7.7");
    expect(find(both, "b")?.autoAllocatedAddress).toBe("240.240.7.7");
    expect(find(both, "a")?.autoAllocatedAddress).toMatch(/^240\.240\./);
    expect(find(both, "a")?.autoAllocatedAddress).not.toBe("240.240.7.7");
  });

  it("does not count where the service has none", () => {
    expect(find(withStatus("a", "240.240.7.7", undefined, "NONE"), "a")?.autoAllocatedAddress).toBeUndefined();
  });

  it("does not count where it is no address", () => {
    expect(find(withStatus("a", "x.example"), "a")?.autoAllocatedAddressV6).toBe("2001:2::9");
  });
});
