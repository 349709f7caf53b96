/** docs/features.md says of every field of the networking kinds what becomes of it, and is right. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { istioKinds } from "../../src/api/known-kinds.ts";
import { untranslatedFields } from "../../src/api/untranslated-fields.ts";
import { featureKinds, findSetFields, hasPath, listFields } from "../../tools/features/fields.ts";
import { readProofs } from "../../tools/features/proofs.ts";
import { buildFeatures, formatFeatures } from "../../tools/features/table.ts";

const features = buildFeatures(readProofs());

describe("the table of features", () => {
  it("has every kind of networking.istio.io", () => {
    const networking = Object.entries(istioKinds).filter(([, { versions }]) => versions[0]?.startsWith("networking."));
    expect([...featureKinds].sort()).toEqual(networking.map(([kind]) => kind).sort());
  });

  it("is written down as it is (`make features` writes it)", () => {
    expect(readFileSync(new URL("../../docs/features.md", import.meta.url), "utf8")).toBe(formatFeatures(features));
  });

  it("calls only fields untranslated that there are", () => {
    const wrong = untranslatedFields.filter(({ kind, path }) => {
      const known = featureKinds.find((one) => one === kind);
      return known === undefined || !hasPath(known, path);
    });
    expect(wrong).toEqual([]);
  });

  it("has a proof for every field that is translated", () => {
    const open = features.filter(({ state }) => state === "unproven").map(({ kind, path }) => `${kind} ${path}`);
    expect(open).toEqual([]);
  });
});

describe("fields", () => {
  it("end where nothing is below them", () => {
    const paths = listFields("ServiceEntry").map(({ path }) => path);
    expect(paths).toContain("hosts[]");
    expect(paths).toContain("endpoints[].labels{}");
    expect(paths).not.toContain("endpoints[]");
  });

  it("of a part that stands again are those of its first place", () => {
    expect(listFields("DestinationRule")).toContainEqual({ path: "subsets[].trafficPolicy", sameAs: "trafficPolicy" });
    const spec = { host: "a", subsets: [{ name: "v1", trafficPolicy: { loadBalancer: { simple: "RANDOM" } } }] };
    expect([...findSetFields("DestinationRule", spec)]).toEqual([
      "host",
      "subsets[].name",
      "subsets[].trafficPolicy",
      "trafficPolicy.loadBalancer.simple",
    ]);
  });

  it("are not set by empty lists and maps", () => {
    const spec = { host: "a", exportTo: [], workloadSelector: { matchLabels: {} } };
    expect([...findSetFields("DestinationRule", spec)]).toEqual(["host"]);
  });

  it.each([
    ["subsets[].trafficPolicy.tls.sni", true],
    ["subsets.trafficPolicy", false],
    ["trafficPolicy.constructor", false],
  ])("%s is in the schema: %s", (path, expected) => {
    expect(hasPath("DestinationRule", path)).toBe(expected);
  });
});
