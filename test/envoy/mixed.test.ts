/** Cases that mix features (test/mixed, which `make parity PARITY_DIR=test/mixed` takes too), given to real Envoys. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { acceptCase } from "../../tools/parity/accept-case.ts";
import { applyDocuments, createBuilder, readDocuments } from "../support/translated-mesh.ts";
import type { NodeJson } from "./isolated-envoy.ts";

// Sixteen Envoys a case, one after the other.
vi.setConfig({ testTimeout: 300_000 });

const folder = join(import.meta.dirname, "../mixed");
const read = (...path: readonly string[]): string => readFileSync(join(folder, ...path), "utf8");
const nodes = JSON.parse(read("proxies.json")) as Readonly<Record<string, NodeJson>>;

describe.each(readdirSync(join(folder, "cases")))("%s", (name) => {
  it("has nothing to complain about", () => {
    const builder = createBuilder();
    const texts = [read("mesh.yaml"), read("cases", name, "config.yaml")];
    const messages = [...applyDocuments(builder, texts.flatMap(readDocuments)), ...builder.current.messages];
    // Every EnvoyFilter gets that one: it reaches inside.
    expect(messages.filter(({ code }) => code !== "internals")).toEqual([]);
  });

  it("is taken by every Envoy", async () => {
    let count = 0;
    for await (const { rejections, warming, awaitsCredentials, clusters, ...row } of acceptCase(folder, name, nodes)) {
      count += 1;
      expect({ ...row, rejections }).toEqual({ ...row, rejections: [] });
      expect(clusters).toBeGreaterThan(0);
      if (!awaitsCredentials) expect({ ...row, warming }).toEqual({ ...row, warming: [] });
    }
    expect(count).toBe(4 * Object.keys(nodes).length);
  });
});
