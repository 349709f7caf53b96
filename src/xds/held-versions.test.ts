import { encode } from "@meltemi/protos";
import { expect, test } from "vitest";
import { buildPart, buildSet, listSet, type ResourceSet } from "../push/resource-set.ts";
import { HeldVersions } from "./held-versions.ts";
import { NameLists } from "./name-lists.ts";
import { parseRequest } from "./request.ts";

const type = "envoy.service.discovery.v3.DeltaDiscoveryRequest";
const common = { node: { id: "sidecar~10.0.0.1~a.b~b.svc.cluster.local" }, type_url: "t", response_nonce: "n" };
const many: Readonly<Record<string, string>> = Object.fromEntries(
  Array.from({ length: 300 }, (_, index) => [`outbound|80||é-${index}`, `v${index % 7}`]),
);

function parse(versions: Readonly<Record<string, string>>): ResourceSet {
  const shared = { lists: new NameLists(), versions: new HeldVersions() };
  const { event, typeUrl, node } = parseRequest(
    encode(type, { ...common, initial_resource_versions: versions, resource_names_subscribe: ["*"] }),
    "delta",
    shared,
  );
  expect([typeUrl, node]).toEqual(["t", common.node]);
  if (event.variant !== "delta") throw new Error("a request of the other kind");
  expect([event.request.nonce, event.request.subscribe]).toEqual(["n", ["*"]]);
  return event.request.brought;
}

test.each<readonly [string, Readonly<Record<string, string>>]>([
  ["nothing", {}],
  ["one", { a: "1" }],
  ["many", many],
  ["an empty name and an empty version", { "": "1", a: "" }],
])("what a client brings along is read as it is: %s", (_what, versions) => {
  const expected = Object.entries(versions).map(([name, version]) => ({ name, version }));
  const set = parse(versions);
  expect(new Map([...listSet(set)].map(({ name, version }) => [name, version]))).toEqual(
    new Map(Object.entries(versions)),
  );
  expect(set.version).toBe(buildSet([buildPart(expected)]).version);
});

test("what many bring along is one set, in whatever order it comes", () => {
  const held = new HeldVersions();
  const read = (entries: readonly (readonly [string, string])[]): ResourceSet | undefined => {
    const each = entries.map(([name, version]) => encode(type, { initial_resource_versions: { [name]: version } }));
    return held.split(Buffer.concat(each))?.held;
  };
  const entries = Object.entries(many);
  const first = read(entries);
  expect(read([...entries].reverse())).toBe(first);
  const other = read([...entries, ["outbound|80||é-0", "v9"]]);
  expect(other?.version).not.toBe(first?.version);
  expect(read(entries)).toBe(first);
});

test("of a name that comes twice the last version counts, as in any map", () => {
  const twice = Buffer.concat([
    encode(type, { initial_resource_versions: { a: "1" } }),
    encode(type, { initial_resource_versions: { a: "2" } }),
  ]);
  expect([...listSet(new HeldVersions().split(twice)?.held ?? buildSet([]))]).toEqual([{ name: "a", version: "2" }]);
});

test.each([
  ["an entry that breaks off", "2a 05 0a 01 61 12 05"],
  ["a field of another kind in an entry", "2a 02 08 01"],
  ["a number among the fields", "38 01"],
  ["a request that breaks off", "2a 7f 0a"],
])("left to be decoded as a whole: %s", (_what, hex) => {
  expect(new HeldVersions().split(Buffer.from(hex.replaceAll(" ", ""), "hex"))).toBeUndefined();
});
