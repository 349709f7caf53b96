import { describe, expect, it } from "vitest";
import { defaultMeshConfig } from "../../api/mesh-config/defaults.ts";
import type { MeshConfig } from "../../api/mesh-config/schema.ts";
import { defaultFeatures } from "../../model/features.ts";
import type { FilterFacts } from "../network-filters/filter-facts.ts";
import { buildTracing } from "./tracing.ts";

type Tracing = NonNullable<MeshConfig["defaultConfig"]["tracing"]>;

const facts = (tracing: Tracing, enableTracing = true): FilterFacts => ({
  mesh: { ...defaultMeshConfig, enableTracing, defaultConfig: { tracing } },
  features: defaultFeatures,
  lacking: [],
  idleTimeoutMs: undefined,
  exactBalance: { inbound: false, outbound: false },
  acceptHttp10: false,
  internalRanges: [],
  identity: { canonicalService: "web", canonicalRevision: "", meshId: "", namespace: "shop", clusterId: "c1" },
});

describe("buildTracing", () => {
  it("is off where the mesh turns it off", () => {
    expect(buildTracing(facts({}, false))).toBeUndefined();
  });

  it("says who the workload is, sorted by name", () => {
    const tags = buildTracing(facts({}))?.custom_tags ?? [];
    const names = tags.map(({ tag = "" }) => tag);
    expect(names).toEqual(names.toSorted());
    const literals = tags.flatMap(({ tag, literal }) => (literal === undefined ? [] : [[tag, literal.value]]));
    expect(literals).toEqual([
      ["istio.canonical_revision", "latest"],
      ["istio.canonical_service", "web"],
      ["istio.cluster_id", "c1"],
      ["istio.mesh_id", "unknown"],
      ["istio.namespace", "shop"],
    ]);
  });

  it("adds tags that users want, alone where Istio's are off", () => {
    const customTags = {
      b: { header: { name: "x-b", defaultValue: "none" } },
      a: { environment: { name: "A" } },
      c: { literal: { value: "fixed" } },
    };
    expect(buildTracing(facts({ customTags, enableIstioTags: false }))?.custom_tags).toEqual([
      { tag: "a", environment: { name: "A" } },
      { tag: "b", request_header: { name: "x-b", default_value: "none" } },
      { tag: "c", literal: { value: "fixed" } },
    ]);
  });

  it.each([
    [0, 1],
    [0.5, 0.5],
    [100, 100],
    [101, 1],
  ])("samples %d percent as %d", (sampling, expected) => {
    expect(buildTracing(facts({ sampling }))?.random_sampling).toEqual({ value: expected });
  });
});
