import { expect, it } from "vitest";
import { buildMesh } from "../../test/support/mesh-objects.ts";
import { listAddressChanges } from "./address-changes.ts";

interface Entry {
  readonly name?: string;
  readonly spec: string;
  readonly labels?: string;
  readonly status?: string;
  readonly created?: string;
}

const entry = ({ name = "a", spec, labels = "", status = "", created = "2026-01-01T00:00:00Z" }: Entry): string => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}, namespace: ns, labels: {${labels}}, creationTimestamp: "${created}"}
spec: {ports: [{number: 80, name: http, protocol: HTTP}], ${spec}}
status: {${status}}
---
`;
const changes = (...entries: readonly Entry[]) =>
  listAddressChanges(buildMesh(entries.map(entry).join("")).current).map(({ entry: { meta }, addresses }) => [
    meta.name,
    addresses.map(({ host, value }) => `${host} ${value.replace(/^(240\.240\.|2001:2::).+/, "$1")}`),
  ]);
const stored = (value: string, host = "a.example"): string => `addresses: [{host: ${host}, value: ${value}}]`;

it("gives each host an address of each family", () => {
  expect(changes({ spec: "hosts: [a.example, b.example], resolution: DNS" })).toEqual([
    ["a", ["a.example 240.240.", "a.example 2001:2::", "b.example 240.240.", "b.example 2001:2::"]],
  ]);
});

it("has nothing to say once that is stored", () => {
  const spec = "hosts: [a.example], resolution: DNS";
  const [change] = listAddressChanges(buildMesh(entry({ spec })).current);
  expect(changes({ spec, status: `addresses: ${JSON.stringify(change?.addresses)}` })).toEqual([]);
});

it.each([
  ["hosts: [a.example], resolution: DNS", "", stored("192.0.2.77")],
  ["hosts: [a.example], resolution: NONE", "", ""],
  ["hosts: [a.example], resolution: DNS", "networking.istio.io/enable-autoallocate-ip: 'False'", ""],
  ["hosts: [a.example], resolution: STATIC, addresses: [192.0.2.1]", "", ""],
])("leaves {%s} labelled {%s} with status {%s} alone", (spec, labels, status) => {
  expect(changes({ spec, labels, status })).toEqual([]);
});

it.each([
  ["hosts: [a.example], resolution: NONE", ""],
  ["hosts: [a.example], resolution: DNS", "networking.istio.io/enable-autoallocate-ip: 'false'"],
  ["hosts: [a.example], resolution: STATIC, addresses: [192.0.2.1]", ""],
])("takes back what {%s} labelled {%s} has no use for", (spec, labels) => {
  expect(changes({ spec, labels, status: stored("240.240.1.1") })).toEqual([["a", []]]);
});

it("takes back the address of a host that is gone, and gives the new one its own", () => {
  const spec = "hosts: [new.example], resolution: DNS";
  expect(changes({ spec, status: stored("240.240.1.1") })).toEqual([
    ["a", ["new.example 240.240.", "new.example 2001:2::"]],
  ]);
});

it("gives wildcards one only where each request says its host", () => {
  expect(changes({ spec: "hosts: ['*.a.example'], resolution: STATIC" })).toEqual([]);
  expect(changes({ spec: "hosts: ['*.a.example'], resolution: DYNAMIC_DNS" })).toEqual([
    ["a", ["*.a.example 240.240.", "*.a.example 2001:2::"]],
  ]);
});

it("gives the younger of two another one", () => {
  const spec = (name: string) => `hosts: [${name}.example], resolution: DNS`;
  const older = { name: "b", spec: spec("b"), status: stored("240.240.1.1", "b.example") };
  const younger = { spec: spec("a"), status: stored("240.240.1.1"), created: "2026-02-01T00:00:00Z" };
  expect(changes(older, younger)).toEqual([["a", ["a.example 240.240.", "a.example 2001:2::"]]]);
});
