import { encode } from "@meltemi/protos";
import { expect, test } from "vitest";
import { HeldVersions } from "./held-versions.ts";
import { NameLists } from "./name-lists.ts";
import { parseRequest } from "./request.ts";

const sotw = "envoy.service.discovery.v3.DiscoveryRequest";
const delta = "envoy.service.discovery.v3.DeltaDiscoveryRequest";
const many = Array.from({ length: 200 }, (_, index) => `outbound|8080||service-${index}.a.svc.cluster.local`);
const common = { node: { id: "sidecar~10.0.0.1~a.b~b.svc.cluster.local" }, type_url: "t", response_nonce: "n-1" };

test("a long list is decoded once, and the same object after that", () => {
  const lists = new NameLists();
  const read = (nonce: string) =>
    lists.split(encode(sotw, { ...common, response_nonce: nonce, resource_names: many }))?.names;
  const first = read("n-1");
  expect(first).toEqual(many);
  expect(read("n-2")).toBe(first);
  expect(lists.split(encode(delta, { ...common, resource_names_subscribe: many }))?.names).toBe(first);
  expect(lists.split(encode(sotw, { ...common, resource_names: many.slice(1) }))?.names).toEqual(many.slice(1));
});

test.each(["sotw", "delta"] as const)("a request reads the same with and without its list at hand (%s)", (variant) => {
  const lists = new NameLists();
  const field = variant === "sotw" ? "resource_names" : "resource_names_subscribe";
  const type = variant === "sotw" ? sotw : delta;
  for (const names of [[], ["a"], many, many, [...many, "*"]]) {
    const request = { ...common, [field]: names, error_detail: { code: 13, message: "no" } };
    const { node, typeUrl, event } = parseRequest(encode(type, request), variant, {
      lists,
      versions: new HeldVersions(),
    });
    expect({ node, typeUrl }).toEqual({ node: common.node, typeUrl: "t" });
    const key = variant === "sotw" ? "names" : "subscribe";
    expect(event.request).toMatchObject({ [key]: names, nonce: "n-1", error: { code: 13, message: "no" } });
  }
});

const list = Buffer.from(encode(sotw, { resource_names: many }));
test.each([
  ["a list in two pieces", Buffer.concat([list, Buffer.from([0x22, 1, 0x74]), list])],
  ["a list that breaks off", list.subarray(0, list.length - 1)],
  ["a length without an end", Buffer.concat([list, Buffer.alloc(8, 0xff)])],
  ["a number among the fields", Buffer.concat([list, Buffer.from([0x38, 1])])],
])("left to be decoded as a whole: %s", (_name, bytes) => {
  expect(new NameLists().split(bytes)).toBeUndefined();
});
