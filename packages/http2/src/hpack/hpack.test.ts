import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { HpackDecoder } from "./decoder.ts";
import { HpackEncoder } from "./encoder.ts";
import { HpackError } from "./hpack-error.ts";
import { codeLengths } from "./huffman-code.ts";
import { decodeHuffman } from "./huffman-decoder.ts";
import { encodeHuffman, huffmanLength } from "./huffman-encoder.ts";
import { staticLength, staticNames, staticValues } from "./static-table.ts";

const plenty = 1_000_000;

function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(" ", ""), "hex");
}

/** Header lists as lines of `name: value`. */
function lines({ raw }: { raw: readonly string[] }): string[] {
  return raw.flatMap((name, index) => (index % 2 === 0 ? [`${name}: ${raw[index + 1]}`] : []));
}

function encode(encoder: HpackEncoder, raw: readonly string[]): Buffer {
  const target = Buffer.alloc(HpackEncoder.bound(raw));
  return target.subarray(0, encoder.encode(raw, target, 0));
}

const requests = [
  {
    huffman: "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
    plain: "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
    is: [":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"],
  },
  {
    huffman: "8286 84be 5886 a8eb 1064 9cbf",
    plain: "8286 84be 5808 6e6f 2d63 6163 6865",
    is: [":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com", "cache-control: no-cache"],
  },
  {
    huffman: "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    plain: "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    is: [
      ":method: GET",
      ":scheme: https",
      ":path: /index.html",
      ":authority: www.example.com",
      "custom-key: custom-value",
    ],
  },
];

const date1 = "Mon, 21 Oct 2013 20:13:21 GMT";
const date2 = "Mon, 21 Oct 2013 20:13:22 GMT";
const rest = ["cache-control: private", `date: ${date1}`, "location: https://www.example.com"];
const responses = [
  {
    block:
      "3fe101 4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 " +
      "8f0b 97c8 e9ae 82ae 43d3",
    is: [":status: 302", ...rest],
  },
  { block: "4883 640e ffc1 c0bf", is: [":status: 307", ...rest] },
  {
    block:
      "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf " +
      "cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
    is: [
      ":status: 200",
      "cache-control: private",
      `date: ${date2}`,
      "location: https://www.example.com",
      "content-encoding: gzip",
      "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
    ],
  },
];

describe("tables", () => {
  it("have a code that leaves no string of bits without a meaning", () => {
    expect(codeLengths).toHaveLength(257);
    expect(codeLengths.reduce((sum, length) => sum + 2 ** -length, 0)).toBe(1);
  });

  it("have the 61 entries that every block may count on", () => {
    expect(staticLength).toBe(61);
    expect([staticNames[1], staticNames[8], staticValues[8], staticNames[61]]).toEqual([
      ":authority",
      ":status",
      "200",
      "www-authenticate",
    ]);
  });
});

describe("decoder", () => {
  it.each(["huffman", "plain"] as const)("reads the requests of RFC 7541, appendix C, written %s", (form) => {
    const decoder = new HpackDecoder(4_096);
    for (const request of requests) expect(lines(decoder.decode(hex(request[form]), plenty))).toEqual(request.is);
  });

  it("reads the answers of appendix C.6, by which the table overflows", () => {
    const decoder = new HpackDecoder(256);
    for (const { block, is } of responses) expect(lines(decoder.decode(hex(block), plenty))).toEqual(is);
  });

  it("reads literals that are not to be kept", () => {
    const decoder = new HpackDecoder(4_096);
    expect(lines(decoder.decode(hex("040c 2f73 616d 706c 652f 7061 7468"), plenty))).toEqual([":path: /sample/path"]);
    expect(lines(decoder.decode(hex("1008 7061 7373 776f 7264 0673 6563 7265 74"), plenty))).toEqual([
      "password: secret",
    ]);
    expect(() => decoder.decode(hex("be"), plenty)).toThrow(HpackError);
  });

  it.each([
    ["index 0", "80"],
    ["an index of no entry", "be"],
    ["a name's index of no entry", "7f00 0161"],
    ["a block that ends in an index", "ff"],
    ["an integer without an end", "ffff ffff ffff ffff ffff ff"],
    ["an integer that hides its size in zeros", "ff80 8080 8080 8080 8080 8080 00"],
    ["a name without a value", "4001 61"],
    ["a value that is cut off", "4001 6105 61"],
    ["the end of a string within one", "4001 6184 ffff ffff"],
    ["padding of zeros", "4001 6181 18"],
    ["padding of more than seven bits", "4001 6182 1fff"],
    ["a table that is larger than allowed", "3fe2 1f"],
    ["three sizes of the table", "2020 20"],
    ["a size of the table behind a header", "8220"],
  ])("refuses %s", (_what, block) => {
    expect(() => new HpackDecoder(4_096).decode(hex(block), plenty)).toThrow(HpackError);
  });

  it("leaves out what is too much, and keeps its table right", () => {
    const decoder = new HpackDecoder(4_096);
    const encoder = new HpackEncoder();
    const raw = ["a", "1", "b", "x".repeat(200), "c", "3"];
    const first = decoder.decode(encode(encoder, raw), 150);
    expect(first).toEqual({ raw: ["a", "1"], bytes: 34 + 233 + 34, isTooLarge: true });
    expect(decoder.decode(encode(encoder, raw), plenty)).toEqual({ raw, bytes: 301, isTooLarge: false });
  });

  it("may be sent more than was allowed until SETTINGS were taken, and then has to be told", () => {
    const decoder = new HpackDecoder(100);
    expect(lines(decoder.decode(hex("3fe11f 4001 6101 62"), plenty))).toEqual(["a: b"]);
    decoder.onSettingsTaken();
    expect(() => decoder.decode(hex("82"), plenty)).toThrow(/was not changed/);
    expect(lines(decoder.decode(hex("3f45 be"), plenty))).toEqual(["a: b"]);
    expect(() => decoder.decode(hex("3f46"), plenty)).toThrow(/larger than was allowed/);
  });
});

describe("encoder", () => {
  it("sends by its index what was sent before", () => {
    const encoder = new HpackEncoder();
    expect(encode(encoder, [":method", "GET", ":path", "/"]).toString("hex")).toBe("8284");
    const head = [":status", "200", "content-type", "application/grpc", "x-own", "value"];
    encode(encoder, head);
    expect(encode(encoder, head).toString("hex")).toBe("88bfbe");
  });

  it.each([
    ["authorization", "Bearer of a secret that is long enough", "1"],
    ["proxy-authorization", "Basic of a secret that is long enough", "1"],
    ["cookie", "short", "1"],
    ["content-length", "1234567", "0"],
    ["x-request-id", "00000000-0000-0000-0000-000000000000", "0"],
    ["x-large", "y".repeat(3_000), "0"],
  ])("puts %s in no table", (name, value, kind) => {
    const encoder = new HpackEncoder();
    const first = encode(encoder, [name, value]);
    expect(first.toString("hex")[0]).toBe(kind);
    expect(encode(encoder, [name, value])).toEqual(first);
  });

  it("keeps to the table that the peer wants, and says so", () => {
    const encoder = new HpackEncoder();
    const decoder = new HpackDecoder(4_096);
    const raw = ["a", "1", "b", "2"];
    expect(decoder.decode(encode(encoder, raw), plenty).raw).toEqual(raw);
    encoder.setMaxTableBytes(0);
    encoder.setMaxTableBytes(40);
    const block = encode(encoder, raw);
    expect(block.toString("hex").startsWith("203f09")).toBe(true);
    expect(decoder.decode(block, plenty).raw).toEqual(raw);
    expect(() => decoder.decode(hex("bf"), plenty)).toThrow(HpackError);
  });
});

const names = fc.oneof(
  fc.constantFrom("accept", "cookie", "x-a", "x-b", ":path", "authorization", "server", "x-c"),
  fc.string({ unit: fc.constantFrom(..."abcdefghijklmnop-"), minLength: 1, maxLength: 60 }),
);
const values = fc.oneof(
  fc.constantFrom("", "1", "2", "gzip, deflate", "a longer value that may come more than once"),
  fc.string({ unit: "binary-ascii", maxLength: 300 }),
  fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes).toString("latin1")),
);
const heads = fc.array(fc.tuple(names, values), { maxLength: 12 }).map((pairs) => pairs.flat());
const turns = fc.array(fc.record({ head: heads, table: fc.option(fc.nat({ max: 5_000 }), { freq: 6 }) }), {
  minLength: 1,
  maxLength: 30,
});

describe("both", () => {
  it("keep the same table, whatever is sent and however it is limited", () => {
    fc.assert(
      fc.property(turns, (series) => {
        const encoder = new HpackEncoder();
        const decoder = new HpackDecoder(4_096);
        for (const { head, table } of series) {
          if (table !== null) encoder.setMaxTableBytes(table);
          const block = encode(encoder, head);
          expect(decoder.decode(block, plenty).raw).toEqual(head);
        }
      }),
      { numRuns: 300, seed: 7541 },
    );
  });

  it("write every byte in the Huffman code and read it again", () => {
    const all = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)).toString("latin1");
    for (const text of [all, [...all].reverse().join(""), ...all]) {
      const target = Buffer.alloc(huffmanLength(text));
      expect(encodeHuffman(text, target, 0)).toBe(target.length);
      expect(decodeHuffman(target, 0, target.length)).toBe(text);
    }
  });

  it("refuse bytes that are no block with an HpackError and nothing else", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 80 }), { maxLength: 5 }), (blocks) => {
        const decoder = new HpackDecoder(4_096);
        try {
          for (const block of blocks) decoder.decode(Buffer.from(block), 1_000);
        } catch (error) {
          expect(error).toBeInstanceOf(HpackError);
        }
      }),
      { numRuns: 5_000, seed: 7541 },
    );
  });
});
