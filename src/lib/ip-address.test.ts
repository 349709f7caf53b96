import { expect, it } from "vitest";
import { formatAddressBits, parseAddressBits } from "./ip-address.ts";

it.each([
  ["10.0.0.1", 0x0a000001n, 32],
  ["255.255.255.255", 0xffffffffn, 32],
  ["::", 0n, 128],
  ["::1", 1n, 128],
  ["fd00::", 0xfd00n << 112n, 128],
  ["1:2:3:4:5:6:7:8", 0x00010002000300040005000600070008n, 128],
  ["::ffff:10.0.0.1", 0xffff0a000001n, 128],
  ["fe80::1%eth0", (0xfe80n << 112n) + 1n, 128],
])("reads the bits of %s", (address, bits, size) => {
  expect(parseAddressBits(address)).toEqual({ bits, size });
});

it.each([
  "10.0.0.1",
  "255.255.255.255",
  "0.0.0.0",
  "::",
  "::1",
  "fd00::",
  "1:2:3:4:5:6:7:8",
  "2001:2::1a2b",
  "1:0:0:2::3",
  "1:0:2:3:4:5:6:7",
])("writes %s as it was read", (address) => {
  expect(formatAddressBits(parseAddressBits(address))).toBe(address);
});

it.each([
  ["0:0:0:0:0:0:0:1", "::1"],
  ["2001:0002:0:0:0:0:0:10", "2001:2::10"],
  ["1::2:0:0:3", "1::2:0:0:3"],
])("shortens %s", (address, short) => {
  expect(formatAddressBits(parseAddressBits(address))).toBe(short);
});
