import { describe, expect, it } from "vitest";
import { concatBytes, decode, encode, listFields, listFieldsOf } from "./index.ts";

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

describe("listFieldsOf", () => {
  /** A group (of proto2) is a field whose end only its content tells. */
  const group = Uint8Array.of(0x0b, 0x10, 1, 0x0c);
  const long = { ...message, nonce: "n".repeat(300), resources: [{ value: new Uint8Array(1_000).fill(7) }] };

  /** Pieces of so many bytes. */
  function cut(bytes: Uint8Array, size: number): readonly Uint8Array[] {
    const count = Math.ceil(bytes.length / size);
    return Array.from({ length: count }, (_, index) => bytes.slice(index * size, (index + 1) * size));
  }

  it.each([
    ["short fields", encode(name, message)],
    ["long fields", encode(name, long)],
    [
      "numbers of all lengths",
      Uint8Array.of(0x08, ...Array(9).fill(0xff), 1, 0x0d, 1, 2, 3, 4, 0x09, 1, 2, 3, 4, 5, 6, 7, 8),
    ],
    ["a group", concatBytes([encode(name, message), group, encode(name, long)])],
    ["nothing", new Uint8Array()],
  ])("gives what listFields gives, wherever the message is cut: %s", (_, bytes) => {
    const expected = [...listFields(bytes)].map(({ number, whole, content }) => [
      number,
      [...whole],
      content && [...content],
    ]);
    for (const size of [1, 2, 3, 5, 7, 19, 20, 21, 64, 300, 5_000]) {
      const fields = [...listFieldsOf(cut(bytes, size))];
      expect(fields.map(({ number, whole, content }) => [number, [...whole], content && [...content]])).toEqual(
        expected,
      );
    }
  });

  it("gives views into the pieces where a field is within one", () => {
    const [one, other] = [encode(name, { nonce: "a" }), encode(name, { nonce: "b" })];
    expect([...listFieldsOf([one, other])].map(({ whole }) => whole.buffer)).toEqual([one.buffer, other.buffer]);
  });

  it.each([
    ["bytes that end within a field", [0x0a, 5, 1]],
    ["bytes that end within a tag", [0x80]],
    ["a type that there is not", [0x0a, 1, 1, 0x0e, 1, 2, 3]],
    ["a number that does not end", [0x08, ...Array(30).fill(0xff)]],
  ])("refuses %s", (_, bytes) => {
    for (const size of [1, 2, 3, 40]) {
      const fields = listFieldsOf(cut(Uint8Array.from(bytes), size));
      expect(() => [...fields]).toThrow(expect.objectContaining({ name: "ProtoError" }));
    }
  });
});
