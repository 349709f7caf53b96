import { describe, expect, it } from "vitest";
import { concatBytes, decode, encode, listFields } from "./index.ts";

const name = "envoy.service.discovery.v3.DiscoveryResponse";
const message = {
  version_info: "7",
  resources: [{ type_url: "a" }, { type_url: "b", value: Uint8Array.of(1, 2, 3) }],
  canary: true,
  nonce: "n",
};

describe("listFields", () => {
  it("gives each field as it stands, and what is in it", () => {
    const fields = [...listFields(encode(name, message))];
    expect(fields.map(({ number }) => number)).toEqual([1, 2, 2, 3, 5]);
    const contents = fields.filter(({ number }) => number === 2).map(({ content = new Uint8Array() }) => content);
    expect(contents.map((content) => decode("google.protobuf.Any", content).type_url)).toEqual(["a", "b"]);
    expect(fields[3]?.content).toBeUndefined();
    expect(decode(name, concatBytes(fields.map(({ whole }) => whole)))).toEqual(message);
  });

  it.each([
    ["bytes that end within a field", [0x0a, 5, 1]],
    ["bytes that end within a tag", [0x80]],
    ["a type that there is not", [0x0e]],
    ["a number that does not end", [0x08, 0xff, 0xff]],
  ])("refuses %s", (_, bytes) => {
    expect(() => [...listFields(Uint8Array.from(bytes))]).toThrow(expect.objectContaining({ name: "ProtoError" }));
    expect(() => decode(name, Uint8Array.from(bytes))).toThrow();
  });
});
