import { expect, it } from "vitest";
import type { MeshNetworks } from "../api/mesh-config/networks.ts";
import { createNetworkLookup } from "./network-lookup.ts";

const subnets: MeshNetworks = {
  networks: {
    narrow: { endpoints: [{ fromCidr: "10.1.2.0/24" }, { fromCidr: "10.9.9.9" }] },
    wide: { endpoints: [{ fromCidr: "10.1.0.0/16" }, { fromCidr: "fd00::/8" }] },
  },
};
const ofCluster: MeshNetworks = { networks: { ...subnets.networks, here: { endpoints: [{ fromRegistry: "c1" }] } } };

it.each([
  ["10.1.2.3", "wide"],
  ["fd12::1", "wide"],
  ["10.2.0.1", ""],
  ["10.9.9.9", ""],
  ["names.example.com", ""],
  ["", ""],
])("of an address in several subnets the widest counts: %s", (address, expected) => {
  expect(createNetworkLookup({ ofNamespace: "", networks: subnets, clusterId: "c1" })(address)).toBe(expected);
});

it.each([
  ["the label of the namespace comes first", "label", ofCluster, "label"],
  ["then the network that names the cluster", "", ofCluster, "here"],
])("%s", (_, ofNamespace, networks, expected) => {
  expect(createNetworkLookup({ ofNamespace, networks, clusterId: "c1" })("10.1.2.3")).toBe(expected);
});
