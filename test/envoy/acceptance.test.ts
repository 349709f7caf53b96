/** Every golden case, taken by a real Envoy without a refusal. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { stringify } from "yaml";
import type { ControlPlane } from "../../src/bootstrap/control-plane.ts";
import type { GivenOptions } from "../../src/config/flags.ts";
import type { Features } from "../../src/model/features.ts";
import { createMemorySource } from "../../src/sources/memory.ts";
import { startTestControlPlane } from "../support/control-plane.ts";
import { type ProxyDescription, readCaseFile } from "../support/translated-mesh.ts";
import { checkAcceptance } from "./acceptance.ts";
import type { NodeJson } from "./isolated-envoy.ts";

// Longer than a check takes to give up, so that it always ends its Envoy.
vi.setConfig({ testTimeout: 60_000 });

const golden = join(import.meta.dirname, "../golden");
const cases = readdirSync(golden, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && !entry.name.startsWith("_"))
  .map((entry) => entry.name)
  // Some name files that only the machine of a real proxy has: an Envoy here refuses them for want of these.
  .filter((name) => readCaseFile(join(golden, name, "in.yaml")).head["needsFiles"] !== true);

describe.each(cases)("golden case %s", (name) => {
  const { head, documents } = readCaseFile(join(golden, name, "in.yaml"));
  const proxies = head["proxies"] as readonly ProxyDescription[];
  let server: ControlPlane;

  beforeAll(async () => {
    const source = createMemorySource();
    source.apply(documents.map((document) => stringify(document)).join("---\n"));
    // Over plain text nobody proves anything, and groups register those alone who do.
    const options = { workloadIdentityCheck: "false", ...describeFeatures(head["features"]) };
    server = await startTestControlPlane({ source, options });
  });
  afterAll(async () => server.stop());

  for (const [index, proxy] of proxies.entries()) {
    // Both forms take turns from case to case: what is sent is the same, and every Envoy takes its time to start.
    const delta = (cases.indexOf(name) + index) % 2 === 1;
    it(`is taken by the Envoy of ${proxy.name} (${delta ? "delta" : "state of the world"})`, async () => {
      const held = await checkAcceptance(server, { node: describeNode(proxy), delta });
      expect(held.rejections).toEqual([]);
      expect(held.clusters).toBeGreaterThan(0);
      if (!held.awaitsCredentials) expect(held.warming).toEqual([]);
    });
  }
});

describe("an Envoy that refuses what it is sent", () => {
  it.each([false, true])("is noticed (delta: %s)", async (delta) => {
    const { head, documents } = readCaseFile(join(golden, "services-only", "in.yaml"));
    const [proxy] = head["proxies"] as readonly [ProxyDescription];
    const source = createMemorySource();
    source.apply(documents.map((document) => stringify(document)).join("---\n"));
    const server = await startTestControlPlane({ source });
    try {
      const options = { node: describeNode(proxy), delta, refusesDeprecated: true };
      const { rejections } = await checkAcceptance(server, options);
      expect(rejections).toContainEqual(expect.stringMatching(/\.Cluster: .*match_subject_alt_names/));
      expect(rejections).toContainEqual(expect.stringMatching(/update_rejected: \d/));
    } finally {
      await server.stop();
    }
  });
});

/** Features of a case as the options that they come from. */
function describeFeatures(features: unknown): GivenOptions {
  const { handshakeTimeoutMs, ...others } = (features ?? {}) as Partial<Features>;
  return {
    ...Object.fromEntries(Object.entries(others).map(([name, value]) => [name, String(value)])),
    ...(handshakeTimeoutMs === undefined ? {} : { handshakeTimeout: `${handshakeTimeoutMs}ms` }),
  };
}

/** The node without extensions: the real Envoy lists its own. */
function describeNode({
  type,
  address,
  workload,
  namespace,
  labels,
  istioVersion,
  metadata,
}: ProxyDescription): NodeJson {
  return {
    id: `${type}~${address}~${workload}.${namespace}~${namespace}.svc.cluster.local`,
    metadata: {
      NAMESPACE: namespace,
      CLUSTER_ID: "Kubernetes",
      LABELS: labels,
      ...(istioVersion === undefined ? {} : { ISTIO_VERSION: istioVersion }),
      ...metadata,
    },
  };
}
