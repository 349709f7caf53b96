import { encode } from "@meltemi/protos";
import { expect, test } from "vitest";
import { readRequest, readResponse } from "./envelope.ts";

const typeUrl = "type.googleapis.com/envoy.config.listener.v3.Listener";
const any = { type_url: "type.googleapis.com/x.Y", value: new Uint8Array(300).fill(0xff) };

test("of requests and responses type and nonce are read, whatever else is in them", () => {
  const sotw = encode("envoy.service.discovery.v3.DiscoveryRequest", {
    version_info: "7",
    node: { id: "sidecar~10.0.0.1~a.b~c", metadata: { fields: { A: { number_value: 1 } } } },
    resource_names: ["a", "b"],
    type_url: typeUrl,
    response_nonce: "n1",
    error_detail: { code: 13, message: "no" },
  });
  const delta = encode("envoy.service.discovery.v3.DeltaDiscoveryRequest", {
    type_url: typeUrl,
    resource_names_subscribe: ["*"],
    initial_resource_versions: { a: "1" },
    response_nonce: "n2",
  });
  const response = encode("envoy.service.discovery.v3.DiscoveryResponse", {
    version_info: "7",
    resources: [any, any],
    canary: true,
    type_url: typeUrl,
    nonce: "n3",
  });
  const deltaResponse = encode("envoy.service.discovery.v3.DeltaDiscoveryResponse", {
    resources: [{ name: "a", version: "1", resource: any }],
    removed_resources: ["b"],
    type_url: typeUrl,
    nonce: "n4",
  });
  expect(readRequest(sotw, "sotw")).toEqual({ typeUrl, nonce: "n1" });
  expect(readRequest(delta, "delta")).toEqual({ typeUrl, nonce: "n2" });
  expect(readResponse(response)).toEqual({ typeUrl, nonce: "n3" });
  expect(readResponse(deltaResponse)).toEqual({ typeUrl, nonce: "n4" });
  expect(readRequest(new Uint8Array(), "sotw")).toEqual({ typeUrl: "", nonce: "" });
});

test.each([
  { name: "a length beyond the end", bytes: [0x22, 0x05, 0x61] },
  { name: "a tag without an end", bytes: [0x80] },
  { name: "a number without an end", bytes: [0x08, ...Array.from({ length: 11 }, () => 0xff)] },
  { name: "half a fixed number", bytes: [0x09, 1, 2, 3] },
  { name: "a wire type that does not exist", bytes: [0x0f] },
  { name: "a length beyond everything", bytes: [0x22, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f] },
])("bytes that are no message: $name", ({ bytes }) => {
  expect(readRequest(Uint8Array.from(bytes), "sotw")).toBeUndefined();
  expect(readResponse(Uint8Array.from(bytes))).toBeUndefined();
});

test("fields of other wire types are passed over", () => {
  const text = Buffer.from("n5");
  const bytes = Uint8Array.from([0x08, 0x96, 0x01, 0x31, 1, 2, 3, 4, 5, 6, 7, 8, 0x3d, 1, 2, 3, 4, 0x2a, 2, ...text]);
  expect(readResponse(bytes)).toEqual({ typeUrl: "", nonce: "n5" });
});
