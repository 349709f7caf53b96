import { decode } from "@meltemi/protos";
import { expect, test } from "vitest";
import { encodeResource } from "./encode.ts";
import { buildPart, buildSet } from "./resource-set.ts";
import { resourceTypeOf } from "./resource-types.ts";
import { type ResponseContent, ResponseEncoder } from "./response-encoder.ts";

const type = resourceTypeOf("cds");
const resources = ["a", "b"].map((name) => encodeResource(type, { name, message: { name }, sources: [] }));
const target = buildSet([buildPart(resources)]);
const content: ResponseContent = { variant: "sotw", typeUrl: type.typeUrl, target, names: undefined, removed: [] };

function parse(bytes: Uint8Array) {
  return decode("envoy.service.discovery.v3.DiscoveryResponse", bytes);
}

test("streams that are to get the same share one response", () => {
  const encoder = new ResponseEncoder("run", "me");
  const first = encoder.encode(content, 0);
  expect(encoder.encode({ ...content }, 0)).toBe(first);
  const message = parse(first.bytes);
  expect(message).toMatchObject({
    version_info: target.version,
    nonce: first.nonce,
    control_plane: { identifier: "me" },
  });
  expect(message.resources).toHaveLength(2);
});

test("a stream that has seen the nonce gets another one, and so do those after it", () => {
  const encoder = new ResponseEncoder("run", "me");
  const first = encoder.encode(content, 0);
  const second = encoder.encode(content, first.serial);
  expect(second.nonce).not.toBe(first.nonce);
  expect(parse(second.bytes).version_info).toBe(parse(first.bytes).version_info);
  expect(encoder.encode(content, 0)).toBe(second);
});

test("variants, types, names and removals are told apart", () => {
  const encoder = new ResponseEncoder("run", "me");
  const contents: readonly ResponseContent[] = [
    content,
    { ...content, names: ["a"] },
    { ...content, names: ["b"] },
    { ...content, variant: "delta" },
    { ...content, variant: "delta", removed: ["c"] },
    { ...content, variant: "delta", removed: ["d"] },
    { ...content, typeUrl: "other" },
  ];
  expect(new Set(contents.map((each) => encoder.encode(each, 0).nonce)).size).toBe(contents.length);
});

test("nonces of another run differ", () => {
  const nonces = ["one", "two"].map((run) => new ResponseEncoder(run, "me").encode(content, 0).nonce);
  expect(nonces[0]).not.toBe(nonces[1]);
});

test("what a client brought along and the mesh does not have is never sent", () => {
  const withForeign = buildSet([buildPart([...resources, { name: "gone", version: "x" }])]);
  const { bytes } = new ResponseEncoder("run", "me").encode({ ...content, target: withForeign }, 0);
  expect(parse(bytes).resources).toHaveLength(2);
});
