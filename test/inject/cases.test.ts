import { join } from "node:path";
import { applyPatch } from "rfc6902";
import { describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { type InjectionResult, injectPod } from "../../src/inject/injection.ts";
import { casesDirectory, listCases, readCase } from "./read-case.ts";
import { type Json, withDefaults } from "./with-defaults.ts";

const names = listCases();

describe("pods of all shapes", () => {
  it("are at least 40", () => {
    expect(names.length).toBeGreaterThanOrEqual(40);
  });

  it.each(names)("%s", async (name) => {
    const { input } = readCase(name);
    const result = injectPod(input);
    await expect(stringify(describeResult(result), { lineWidth: 0, compat: "yaml-1.1" })).toMatchFileSnapshot(
      join(casesDirectory, name, "out.yaml"),
    );
    if (result.kind !== "injected") return;
    const patched = structuredClone(input.pod);
    const failures = applyPatch(patched, result.patch as Parameters<typeof applyPatch>[1]);
    expect(failures.filter((failure) => failure !== null)).toEqual([]);
    expect(patched).toEqual(result.pod);
    expect(injectPod({ ...input, pod: result.pod })).toMatchObject({ kind: "injected", patch: [], pod: result.pod });
  });

  it.each(names)("%s, as the next webhook gets it", (name) => {
    const { input } = readCase(name);
    const first = injectPod({ ...input, pod: withDefaults(input.pod as Json) });
    if (first.kind !== "injected") return;
    const pod = withDefaults(first.pod);
    expect(injectPod({ ...input, pod })).toMatchObject({ kind: "injected", patch: [] });
  });
});

/** The pod as it becomes, or why it does not. */
function describeResult(result: InjectionResult): unknown {
  if (result.kind === "injected") return result.pod;
  if (result.kind === "skipped") return { skipped: result.reason };
  return { refused: result.messages.map(({ path, text }) => `${path}: ${text}`) };
}
