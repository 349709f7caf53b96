import { expect, it } from "vitest";
import { formatSpiffeIdentity, parseSpiffeIdentity } from "./spiffe.ts";

it("reads an identity and writes it again", () => {
  const uri = "spiffe://cluster.local/ns/shop/sa/gateway.v2";
  expect(parseSpiffeIdentity(uri)).toEqual({
    trustDomain: "cluster.local",
    namespace: "shop",
    serviceAccount: "gateway.v2",
  });
  expect(formatSpiffeIdentity({ trustDomain: "a.b", namespace: "c", serviceAccount: "d" })).toBe(
    "spiffe://a.b/ns/c/sa/d",
  );
});

it.each([
  "",
  "cluster.local/ns/a/sa/b",
  "https://cluster.local/ns/a/sa/b",
  "spiffe://cluster.local/ns/a/sa/b/",
  "spiffe://cluster.local/ns/a/sa/b?x",
  "spiffe://cluster.local/ns/a/sa/b#x",
  "spiffe://cluster.local//ns/a/sa/b",
  "spiffe://cluster.local/sa/a/ns/b",
  "spiffe:///ns/a/sa/b",
  "spiffe://u@cluster.local/ns/a/sa/b",
  "spiffe://cluster.local:80/ns/a/sa/b",
  "spiffe://cluster.local/ns//sa/b",
  "spiffe://cluster.local/ns/a/sa/",
  "spiffe://cluster.local/ns/A/sa/b",
  "spiffe://cluster.local/ns/a.b/sa/b",
  "spiffe://cluster.local/ns/-a/sa/b",
  "spiffe://cluster.local/ns/a/sa/b..c",
  "spiffe://cluster.local/ns/a/sa/b%2Fc",
  "spiffe://cluster.local/ns/a/sa/b\n",
  `spiffe://cluster.local/ns/${"a".repeat(64)}/sa/b`,
  `spiffe://cluster.local/ns/a/sa/${"b".repeat(254)}`,
  "x".repeat(1_000_000),
])("takes %.80j for none", (text) => expect(parseSpiffeIdentity(text)).toBeUndefined());
