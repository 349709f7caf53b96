import { expect, it } from "vitest";
import { systemClock } from "../lib/clock.ts";
import { createStatsRegistry } from "../lib/create-stats.ts";
import { EndpointDiscovery } from "./endpoint-discovery.ts";

it.each([
  ["no configuration of EDS", {}, "eds_cluster_config: cannot create an EDS cluster without an EDS config"],
  ["no source", { eds_cluster_config: {} }, "eds_cluster_config.eds_config: is required"],
])("refuses a cluster with %s, as Envoy does", (_what, wire, expected) => {
  const discovery = new EndpointDiscovery({
    clusters: { setEndpoints: () => undefined, wantedEndpoints: () => [], onWantedEndpoints: () => undefined },
    sources: { subscribe: () => ({ want: () => undefined, close: () => undefined }) },
    clock: systemClock,
    stats: createStatsRegistry(),
    hash: () => 0,
  });
  expect(() => discovery.expect({ name: "a", type: "EDS", ...wire })).toThrow(expected);
  discovery.close();
});
