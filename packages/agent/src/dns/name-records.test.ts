import type { NameTable } from "@meltemi/protos/istio/networking/nds/v1";
import { describe, expect, it } from "vitest";
import { buildNameRecords } from "./name-records.ts";

const table: NameTable = {
  table: {
    "reviews.shop.svc.cluster.local": service("reviews", "shop", ["10.0.0.1"]),
    "Ratings.other.svc.cluster.local": service("ratings", "other", ["10.0.0.2", "fd00::2"]),
    "far.shop.svc.remote.example": service("far", "shop", ["10.0.0.3"]),
    "example.com": { ips: ["198.51.100.1"], registry: "External" },
    "*.wild.example": { ips: ["198.51.100.2"], registry: "External" },
    "*.deep.wild.example": { ips: ["198.51.100.3"], registry: "External" },
    "exact.wild.example": { ips: ["2001:db8::4"], registry: "External" },
    "broken.example": { ips: ["no address", "10.0.0.300"], registry: "External" },
    "shadow.shop.svc.cluster.local": service("shadow", "shop", ["10.0.0.5"]),
    shadow: { ips: ["198.51.100.9"], registry: "External" },
  },
};

function service(shortname: string, namespace: string, ips: readonly string[]) {
  return { ips, registry: "Kubernetes", shortname, namespace };
}

const records = buildNameRecords(table, {
  proxyNamespace: "shop",
  proxyDomain: "shop.svc.cluster.local",
  search: ["shop.svc.cluster.local", "svc.cluster.local"],
});

describe("names of the table", () => {
  it.each([
    ["its full name", "reviews.shop.svc.cluster.local.", "10.0.0.1"],
    ["any case", "REVIEWS.Shop.svc.cluster.LOCAL.", "10.0.0.1"],
    ["a short name in the own namespace", "reviews.", "10.0.0.1"],
    ["name and namespace", "ratings.other.", "10.0.0.2"],
    ["name, namespace and svc", "ratings.other.svc.", "10.0.0.2"],
    ["no short name of another namespace", "ratings.", undefined],
    ["nothing between svc and the whole domain", "ratings.other.svc.cluster.", undefined],
    ["a service of another cluster domain by its full name", "far.shop.svc.remote.example.", "10.0.0.3"],
    ["not by a shorter one", "far.shop.", undefined],
    ["a name from outside", "example.com.", "198.51.100.1"],
    ["not what is below it", "www.example.com.", undefined],
    ["a wildcard", "a.wild.example.", "198.51.100.2"],
    ["a wildcard several labels up", "c.b.a.wild.example.", "198.51.100.2"],
    ["the longest wildcard", "a.deep.wild.example.", "198.51.100.3"],
    ["no wildcard for its own domain", "wild.example.", undefined],
    ["no name without a valid address", "broken.example.", undefined],
    ["nothing unknown", "unknown.example.", undefined],
    ["not the root", ".", undefined],
    [
      "the service, where a name from outside and the search domain make the same",
      "shadow.shop.svc.cluster.local.",
      "10.0.0.5",
    ],
  ])("knows %s", (_, name, address) => {
    const found = records.find(name);
    expect(found?.canonicalName).toBeUndefined();
    expect(found?.records.v4.map((bytes) => bytes.join("."))).toEqual(address === undefined ? undefined : [address]);
  });

  it.each([
    ["a name from outside", "example.com.shop.svc.cluster.local.", "example.com.", "198.51.100.1"],
    ["name and namespace", "ratings.other.shop.svc.cluster.local.", "ratings.other.", "10.0.0.2"],
    ["a wildcard", "a.wild.example.shop.svc.cluster.local.", "a.wild.example.", "198.51.100.2"],
  ])("knows %s with the search domain behind it", (_, name, canonicalName, address) => {
    const found = records.find(name);
    expect(found?.canonicalName).toBe(canonicalName);
    expect(found?.records.v4.map((bytes) => bytes.join("."))).toEqual([address]);
  });

  it.each([
    ["the second search domain", "example.com.svc.cluster.local."],
    ["the search domain twice", "reviews.shop.svc.cluster.local.shop.svc.cluster.local."],
    ["an unknown name", "unknown.example.shop.svc.cluster.local."],
  ])("does not strip %s", (_, name) => {
    expect(records.find(name)).toBeUndefined();
  });

  it("keeps addresses of both families, and a name with one family only", () => {
    expect(records.find("ratings.other.")?.records.v6).toEqual([Buffer.from(`fd${"00".repeat(14)}02`, "hex")]);
    const exact = records.find("exact.wild.example.")?.records;
    expect(exact).toEqual({ v4: [], v6: [Buffer.from(`20010db8${"00".repeat(11)}04`, "hex")] });
  });

  it("is empty for an empty table, and does without a search domain", () => {
    expect(buildNameRecords({}, { proxyNamespace: "", proxyDomain: "", search: [] }).size).toBe(0);
    const plain = buildNameRecords(table, { proxyNamespace: "shop", proxyDomain: "", search: [] });
    expect(plain.find("reviews.shop.svc.cluster.local.")).toBeDefined();
    expect(plain.find("reviews.")).toBeUndefined();
    expect(plain.find("example.com.shop.svc.cluster.local.")).toBeUndefined();
  });
});
