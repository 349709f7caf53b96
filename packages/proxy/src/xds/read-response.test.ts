import { packAny } from "@meltemi/protos";
import type { Cluster } from "@meltemi/protos/envoy/config/cluster/v3";
import { describe, expect, it } from "vitest";
import { nothingEarlier, type Response, readUpdate } from "./read-response.ts";
import { resourceTypes } from "./resource-types.ts";

const typeName = "envoy.config.cluster.v3.Cluster";

function response(version: string, clusters: readonly Cluster[]): Response {
  const resources = clusters.map((cluster) => ({ version, resource: packAny(typeName, cluster) }));
  return { typeName, nonce: "", version, controlPlane: "", resources, removed: [] };
}

const clusters = (...names: readonly string[]): readonly Cluster[] =>
  names.map((name) => ({ name: name.slice(0, 1), ...(name.length > 1 ? { alt_stat_name: name } : {}) }));

describe("readUpdate", () => {
  it.each([
    ["the same", ["a", "b", "c"], "abc"],
    ["a new first one", ["n", "a", "b", "c"], "abc"],
    ["a new last one", ["a", "b", "c", "n"], "abc"],
    ["one that is gone", ["a", "c"], "ac"],
    ["one that has changed", ["a", "b2", "c"], "ac"],
  ])("takes what comes again as it was: %s", (_what, names, reused) => {
    const { resources } = readUpdate(resourceTypes.cds, response("1", clusters("a", "b", "c")), nothingEarlier);
    const update = readUpdate(resourceTypes.cds, response("2", clusters(...names)), { known: [], resources });
    const before = new Set(resources.map(({ message }) => message));
    const again = update.resources.filter(({ message }) => before.has(message));
    expect(again.map(({ name }) => name).join("")).toBe(reused);
    expect(update.resources.map(({ message }) => message["alt_stat_name"] ?? message["name"])).toEqual(names);
    expect(update.resources.every(({ version }) => version === "2")).toBe(true);
  });

  it("keeps nothing of a response but its resources", () => {
    const whole = response("1", clusters("a"));
    const value = whole.resources[0]?.resource?.value;
    const [resource] = readUpdate(resourceTypes.cds, whole, nothingEarlier).resources;
    expect(resource?.bytes).toEqual(value);
    expect(resource?.bytes.buffer).not.toBe(value?.buffer);
  });

  it("takes resources out of their wrapping, and heartbeats for nothing", () => {
    const wrapped = packAny("envoy.service.discovery.v3.Resource", {
      name: "a",
      version: "7",
      resource: packAny(typeName, { name: "a" }),
    });
    const { resources, unreadable } = readUpdate(
      resourceTypes.cds,
      {
        ...response("1", []),
        resources: [
          { version: "1", resource: wrapped },
          { name: "b", version: "1" },
        ],
      },
      nothingEarlier,
    );
    expect(resources.map(({ name, version }) => [name, version])).toEqual([["a", "7"]]);
    expect(unreadable).toEqual([]);
  });
});
