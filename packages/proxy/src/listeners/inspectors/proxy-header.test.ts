import { describe, expect, it } from "vitest";
import { parseProxyHeader } from "./proxy-header.ts";

const signature = "0d0a0d0a000d0a515549540a";

function v2(hex: string): Buffer {
  return Buffer.from(signature + hex.replaceAll(" ", ""), "hex");
}

const tcp4 = v2("21 11 000c 01020304 0a000001 1f90 0050");
const tcp6 = v2(`21 21 0024 ${"20010db8".padEnd(31, "0")}1 ${"20010db8".padEnd(31, "0")}2 1f90 0050`);

describe("parseProxyHeader", () => {
  it.each<[string, Buffer, unknown]>([
    [
      "TCP4",
      Buffer.from("PROXY TCP4 1.2.3.4 10.0.0.1 8080 80\r\nrest"),
      { version: 1, length: 37, source: "1.2.3.4:8080", destination: "10.0.0.1:80" },
    ],
    [
      "TCP6",
      Buffer.from("PROXY TCP6 2001:db8::1 2001:db8::2 8080 80\r\n"),
      { version: 1, length: 44, source: "2001:db8::1:8080", destination: "2001:db8::2:80" },
    ],
    ["UNKNOWN", Buffer.from("PROXY UNKNOWN whatever\r\n"), { version: 1, length: 24 }],
    ["version 2 over IPv4", tcp4, { version: 2, length: 28, source: "1.2.3.4:8080", destination: "10.0.0.1:80" }],
    [
      "version 2 over IPv6",
      tcp6,
      { version: 2, length: 52, source: "2001:db8::1:8080", destination: "2001:db8::2:80" },
    ],
    ["LOCAL with something in it", v2("20 00 0002 ffff"), { version: 2, length: 18 }],
  ])("reads %s", (_name, bytes, expected) => {
    const parsed = parseProxyHeader(bytes);
    if (parsed.kind !== "header") throw new Error(parsed.kind);
    const { version, length, addresses } = parsed.header;
    const format = ({ ip, port }: { readonly ip: string; readonly port: number }) => `${ip}:${port}`;
    const texts =
      addresses === undefined ? {} : { source: format(addresses.source), destination: format(addresses.destination) };
    expect({ version, length, ...texts }).toEqual(expected);
  });

  it("keeps extensions", () => {
    const parsed = parseProxyHeader(v2("21 11 0014 01020304 0a000001 1f90 0050 d1 0002 6162 e0 0000"));
    expect(parsed).toMatchObject({
      kind: "header",
      header: { tlvs: [{ type: 0xd1, value: Buffer.from("ab") }, { type: 0xe0 }] },
    });
  });

  it.each([tcp4, tcp6, Buffer.from("PROXY TCP4 1.2.3.4 10.0.0.1 8080 80\r\n")])("waits for all of it (%#)", (bytes) => {
    for (let length = 1; length < bytes.length; length += 1) {
      expect(parseProxyHeader(bytes.subarray(0, length)).kind).toBe("more");
    }
  });

  it.each<[string, Buffer, string]>([
    ["another protocol", Buffer.from("GET / HTTP/1.1\r\n"), "none"],
    ["the word in small letters", Buffer.from("proxy TCP4"), "none"],
    ["no family", Buffer.from("PROXY\r\n"), "malformed"],
    ["an unknown family", Buffer.from("PROXY UDP4 1.2.3.4 10.0.0.1 8080 80\r\n"), "malformed"],
    ["a field too few", Buffer.from("PROXY TCP4 1.2.3.4 10.0.0.1 8080\r\n"), "malformed"],
    ["two blanks", Buffer.from("PROXY TCP4 1.2.3.4  10.0.0.1 8080 80\r\n"), "malformed"],
    ["a field too many", Buffer.from("PROXY TCP4 1.2.3.4 10.0.0.1 8080 80 1\r\n"), "malformed"],
    ["a name for an address", Buffer.from("PROXY TCP4 localhost 10.0.0.1 8080 80\r\n"), "malformed"],
    ["the wrong kind of address", Buffer.from("PROXY TCP4 ::1 ::1 8080 80\r\n"), "malformed"],
    ["a port beyond the last", Buffer.from("PROXY TCP4 1.2.3.4 10.0.0.1 65536 80\r\n"), "malformed"],
    ["a negative port", Buffer.from("PROXY TCP4 1.2.3.4 10.0.0.1 -1 80\r\n"), "malformed"],
    ["no host at all", Buffer.from("PROXY TCP4 0.0.0.0 10.0.0.1 1 80\r\n"), "malformed"],
    ["a multicast group", Buffer.from("PROXY TCP4 224.0.0.1 10.0.0.1 1 80\r\n"), "malformed"],
    ["a line without end", Buffer.from(`PROXY ${"x".repeat(120)}`), "malformed"],
    ["an unknown version", v2("31 11 000c 01020304 0a000001 1f90 0050"), "malformed"],
    ["an unknown command", v2("22 11 000c 01020304 0a000001 1f90 0050"), "malformed"],
    ["a Unix socket", v2(`21 31 00d8 ${"00".repeat(216)}`), "malformed"],
    ["no transport", v2("21 10 000c 01020304 0a000001 1f90 0050"), "malformed"],
    ["addresses that are too short", v2("21 11 000b 01020304 0a000001 1f90 00"), "malformed"],
    ["an extension beyond the end", v2("21 11 0010 01020304 0a000001 1f90 0050 d1 0002 61"), "malformed"],
    ["half an extension", v2("21 11 000e 01020304 0a000001 1f90 0050 d1 00"), "malformed"],
  ])("refuses %s", (_name, bytes, kind) => {
    expect(parseProxyHeader(bytes).kind).toBe(kind);
  });
});
