/**
 * Random mutations of valid objects, from parsing to bytes. Nothing may throw, whatever an object turns into, and the
 * proxy of another namespace must go on getting the very same bytes. `FUZZ_RUNS` sets how many; `make fuzz` runs 100,000.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { encode } from "@meltemi/protos";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { contentHash } from "../../src/lib/hash.ts";
import type { SnapshotBuilder } from "../../src/snapshot/build.ts";
import {
  applyDocuments,
  createBuilder,
  describeProxy,
  type ProxyDescription,
  type ResourcesOfProxy,
  readDocuments,
  translateFor,
  typeNames,
} from "../support/translated-mesh.ts";
import { applyEdits, edits } from "./mutate.ts";

const runs = Number(process.env["FUZZ_RUNS"] ?? 2_000);
const read = (name: string): readonly unknown[] => readDocuments(readFileSync(join(import.meta.dirname, name), "utf8"));
const targets = read("mesh.yaml") as readonly { readonly kind: string; readonly metadata: object }[];
const neighbour = read("neighbour.yaml");
const kinds = Object.keys(typeNames) as readonly (keyof ResourcesOfProxy)[];

const shop = { address: "10.60.0.10", namespace: "shop", labels: { app: "cart", version: "v1" } };
const victims: readonly ProxyDescription[] = [
  { ...shop, name: "sidecar", type: "sidecar", workload: "cart-v1", istioVersion: "1.31.0" },
  { ...shop, name: "unintercepted", type: "sidecar", workload: "cart-v1", metadata: { INTERCEPTION_MODE: "NONE" } },
  {
    ...shop,
    name: "gateway",
    type: "router",
    workload: "edge-1",
    labels: { istio: "ingress" },
    istioVersion: "1.31.0",
  },
];
const calm: ProxyDescription = {
  name: "calm",
  type: "sidecar",
  address: "10.61.0.1",
  workload: "calm-v1",
  namespace: "quiet",
  labels: { app: "calm", version: "v1" },
  istioVersion: "1.31.0",
};

/** All resources of a proxy as a hash of their bytes. */
function bytesFor(builder: SnapshotBuilder, description: ProxyDescription): string {
  const resources = translateFor(builder.current, describeProxy(description));
  const chunks = kinds.flatMap((kind) => resources[kind].map(({ message }) => encode(typeNames[kind], message)));
  return contentHash(Buffer.concat(chunks));
}

/** An object that others may see could rightly change what they get, so the visibility is not up to the mutation. */
function keepPrivate(object: { readonly kind: string; readonly spec?: unknown }): object {
  const { kind, spec } = object;
  if (!["VirtualService", "DestinationRule", "ServiceEntry"].includes(kind)) return object;
  if (typeof spec !== "object" || spec === null || Array.isArray(spec)) return object;
  return { ...object, spec: { ...spec, exportTo: ["."] } };
}

function createMesh(): SnapshotBuilder {
  const builder = createBuilder();
  applyDocuments(builder, [...neighbour, ...targets]);
  return builder;
}

describe("random mutations", () => {
  const expected = bytesFor(createMesh(), calm);

  it("never throw and never reach another namespace", { timeout: 3_600_000 }, () => {
    // One builder for all runs, as in a long-lived control plane; each run ends by mending what it broke.
    const builder = createMesh();
    fc.assert(
      fc.property(fc.nat({ max: targets.length - 1 }), edits, (index, list) => {
        const target = targets[index];
        if (target === undefined) return;
        // Identity stays: an object that moves into the other namespace would be somebody else's change.
        const { kind, metadata, ...rest } = target;
        const mutated = keepPrivate({ ...applyEdits(rest, list), kind, metadata });
        try {
          applyDocuments(builder, [mutated]);
          for (const victim of victims) bytesFor(builder, victim);
          expect(bytesFor(builder, calm)).toBe(expected);
        } finally {
          applyDocuments(builder, [target]);
        }
      }),
      { numRuns: runs, verbose: 1 },
    );
  });

  it("leave a builder that is mended where it began", () => {
    const builder = createMesh();
    const [victim] = victims;
    if (victim === undefined) return;
    const before = bytesFor(builder, victim);
    for (const target of targets) {
      applyDocuments(builder, [{ ...target, spec: {} }]);
      applyDocuments(builder, [target]);
    }
    expect(bytesFor(builder, victim)).toBe(before);
  });
});
