import { expect, test } from "vitest";
import { buildMesh } from "../../test/support/mesh-objects.ts";
import { describeProxy } from "../../test/support/translated-mesh.ts";
import { generators } from "../bootstrap/generators.ts";
import { handleEnvoyFilters } from "./debug/envoy-filter-page.ts";
import { createMetrics } from "./metrics.ts";
import type { DebugPort } from "./ports.ts";

const { current } = buildMesh(`
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: some, namespace: shop}
spec:
  configPatches:
  - {applyTo: CLUSTER, match: {context: SIDECAR_OUTBOUND}, patch: {operation: MERGE, value: {connect_timeout: 3s}}}
  - {applyTo: VIRTUAL_HOST, match: {context: SIDECAR_OUTBOUND}, patch: {operation: REMOVE}}
  - {applyTo: LISTENER, patch: {operation: ADD, value: {}}}
  - {applyTo: CLUSTER, match: {context: GATEWAY}, patch: {operation: REMOVE}}
`);
const proxy = describeProxy({
  ...{ name: "web", type: "sidecar", address: "10.0.0.1", workload: "web-1", namespace: "shop", labels: {} },
});
const connection = { connectionId: "web-1.shop-1", connectedAtMs: 0, address: "", proxy, watches: new Map() };
const port: DebugPort = {
  snapshot: () => current,
  generators,
  listConnections: () => [connection, connection],
  listCachedResources: () => [],
  clearCache: () => undefined,
  pushAll: () => 0,
};

test("what became of patches is a page", () => {
  const reply = handleEnvoyFilters({ port, query: new URLSearchParams() });
  expect(JSON.parse(reply.body)).toEqual([
    {
      name: "shop/some",
      patches: [
        { applyTo: "CLUSTER", operation: "MERGE", result: "applied" },
        { applyTo: "VIRTUAL_HOST", operation: "REMOVE", result: "missed" },
        { applyTo: "LISTENER", operation: "ADD", result: "leftOut", reason: "what is added needs a name" },
        { applyTo: "CLUSTER", operation: "REMOVE", result: "unused" },
      ],
    },
  ]);
});

test("it is a metric where that is asked for", async () => {
  const source = { debug: port, version: "1", uptimeSeconds: () => 1 };
  const lines = async (countsPatches: boolean) =>
    (await createMetrics({ ...source, countsPatches }).render())
      .split("\n")
      .filter((line) => line.startsWith("pilot_envoy_filter_status"));
  expect(await lines(true)).toEqual([
    'pilot_envoy_filter_status{name="shop/some",patch="cluster",result="applied"} 1',
    'pilot_envoy_filter_status{name="shop/some",patch="vhost",result="applied"} 0',
    'pilot_envoy_filter_status{name="shop/some",patch="listener",result="error"} 1',
  ]);
  expect(await lines(false)).toEqual([]);
});
