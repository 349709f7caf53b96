import { expect, it } from "vitest";
import { listHosts } from "./choose-hosts.ts";
import type { ClusterSpec, EndpointSpec, Version } from "./world.ts";

const cluster: ClusterSpec = {
  ...{ name: "c", protocol: "http1", isByEds: true, policy: "ROUND_ROBIN", panicThreshold: 50, fallback: undefined },
  endpoints: [],
};

/** "a1v" is the upstream a, priority 1, version v1, well; "a1V" is not well; "w" is version v2. */
function read(text: string): readonly EndpointSpec[] {
  return text.split(" ").map((word) => ({
    upstream: word.slice(0, 1),
    priority: word[1] === "1" ? 1 : 0,
    version: word[2]?.toLowerCase() === "w" ? "v2" : "v1",
    health: word[2] === word[2]?.toLowerCase() ? "HEALTHY" : "UNHEALTHY",
    weight: 1,
  }));
}

it.each<[string, string, Partial<ClusterSpec>, Version | undefined, string]>([
  ["all that are well", "a0v b0v c0V d0v", {}, undefined, "abd"],
  ["all in panic", "a0v b0V c0V", {}, undefined, "abc"],
  ["none where there is no panic", "a0V b0V", { panicThreshold: 0 }, undefined, ""],
  ["the first priority", "a0v b0v c1v", {}, undefined, "ab"],
  ["the second where the first is gone", "a0V b1v", {}, undefined, "b"],
  ["both where the first has half", "a0v b0V c1v", {}, undefined, "ac"],
  ["the second in panic, alone", "a1V", {}, undefined, "a"],
  ["everybody where nobody is well", "a0V b1V", {}, undefined, "ab"],
  ["a subset", "a0v b0w", { fallback: "none" }, "v2", "b"],
  ["no subset, no host", "a0v b0v", { fallback: "none" }, "v2", ""],
  ["no wish, no subset", "a0v b0w", { fallback: "none" }, undefined, ""],
  ["any where there is no subset", "a0v b0v", { fallback: "any" }, "v2", "ab"],
  ["the subset by default", "a0v b0w", { fallback: "v1" }, undefined, "a"],
  ["no subsets, no matter", "a0v b0w", {}, "v2", "ab"],
])("listHosts: %s", (_what, endpoints, change, version, hosts) => {
  expect([...listHosts({ ...cluster, ...change, endpoints: read(endpoints) }, version)].join("")).toBe(hosts);
});
