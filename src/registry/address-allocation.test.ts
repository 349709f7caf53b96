import { describe, expect, it } from "vitest";
import { buildMesh, parseMeshObjects, setObjects } from "../../test/support/mesh-objects.ts";
import { allocateAddresses } from "./address-allocation.ts";

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
    const addresses = [...allocateAddresses(many).values()];
    expect(new Set(addresses).size).toBe(many.length);
    expect(addresses.filter((address) => /\.(0|255)$/.test(address))).toEqual([]);
  });
});
