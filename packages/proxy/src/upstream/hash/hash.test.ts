import { expect, test } from "vitest";
import { createMersenneTwister } from "./mersenne-twister.ts";
import { murmurHash2 } from "./murmur-hash.ts";
import { xxHash64 } from "./xx-hash.ts";

// Published vectors of xxHash64 and the values that Envoy holds its hashes to.
test.each([
  ["", 0n, 0xef46db3751d8e999n],
  ["a", 0n, 0xd24ec4f1a98c6e5bn],
  ["abc", 0n, 0x44bc2cf5ad770999n],
  ["foo", 0n, 3728699739546630719n],
  ["bar", 0n, 5234164152756840025n],
  ["Nobody inspects the spammish repetition", 0n, 0xfbcea83c8a378bf1n],
])("xxHash64 of %j", (text, seed, expected) => {
  expect(xxHash64(text, seed)).toBe(expected);
});

test("xxHash64 takes a seed", () => {
  expect(xxHash64("a", 1n)).not.toBe(xxHash64("a"));
});

test.each([
  ["", 6142509188972423790n],
  ["foo", 9631199822919835226n],
  ["bar", 11474628671133349555n],
  ["foo\nbar", 16306510975912980159n],
  ["lyft", 12847078931730529320n],
])("murmurHash2 of %j", (text, expected) => {
  expect(murmurHash2(text)).toBe(expected);
});

test("the twister gives the ten thousandth number that the C++ standard names for its default seed", () => {
  const next = createMersenneTwister(5489);
  for (let count = 1; count < 10_000; count += 1) next();
  expect(next()).toBe(4123659995);
});
