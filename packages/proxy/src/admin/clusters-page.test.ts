import { expect, test } from "vitest";
import { assignment, createRig, endpointOf, origin, staticCluster } from "../upstream/testing/cluster-rig.ts";
import { clustersPage } from "./clusters-page.ts";

test.each([
  ["HEALTHY", "healthy"],
  ["DEGRADED", "/degraded_eds_health"],
  ["DRAINING", "/eds_status_draining"],
  ["TIMEOUT", "/failed_eds_health"],
  ["UNHEALTHY", "/failed_eds_health"],
] as const)("what discovery says of a host's health is shown: %s", async (health_status, flags) => {
  const { clusters } = createRig();
  const load_assignment = assignment({ ...endpointOf(1), health_status });
  await clusters.update({ ...staticCluster([]), load_assignment }, origin);
  // All that the page takes of its source.
  const source = { clusters, bootstrap: {} } as unknown as Parameters<typeof clustersPage.answer>[0];
  const { body } = await clustersPage.answer(source, new URLSearchParams());
  expect(String(body).split("\n")).toContain(`a::127.0.0.1:1::health_flags::${flags}`);
  await clusters.close();
});
