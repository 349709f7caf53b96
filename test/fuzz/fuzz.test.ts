/**
 * Random mutations of valid objects, from parsing to bytes. Nothing may throw, whatever an object turns into, nothing may
 * come out that Envoy refuses as a whole, and the proxy of another namespace must go on getting the very same bytes.
 * FUZZ_RUNS sets how many runs (`make fuzz` makes 100,000), FUZZ_SEED repeats a series.
 */
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { createFuzzedMesh, targets } from "./fuzzed-mesh.ts";
import { editObjects, editText, objectMutation, textMutation } from "./mutations.ts";

const runs = Number(process.env["FUZZ_RUNS"] ?? 2_000);
// The same series each time where nobody asks for more: the test of a change must not fail by luck of somebody else's.
const seed = Number(process.env["FUZZ_SEED"] ?? (process.env["FUZZ_RUNS"] === undefined ? 1 : Date.now() % 2 ** 31));
const parametersFor = (share: number) => ({ numRuns: Math.ceil(runs * share), seed });

describe("random mutations never throw, break a proxy or reach another namespace", { timeout: 3_600_000 }, () => {
  const mesh = createFuzzedMesh();

  it("of one object", () => {
    fc.assert(
      fc.property(objectMutation, (mutation) => {
        expect(mesh.run(editObjects([mutation]))).toEqual([]);
      }),
      parametersFor(0.4),
    );
  });

  it("of two objects at once", () => {
    fc.assert(
      fc.property(objectMutation, objectMutation, (first, second) => {
        expect(mesh.run(editObjects([first, second]))).toEqual([]);
      }),
      parametersFor(0.35),
    );
  });

  it("of the text that objects are read from", () => {
    fc.assert(
      fc.property(textMutation, (mutation) => {
        expect(mesh.run(editText(mutation))).toEqual([]);
      }),
      parametersFor(0.25),
    );
  });

  afterAll(() => {
    expect(mesh.mend(), "the mesh, mended, gives its proxies what it gave them at the start").toBe(true);
  });
});

it("a mesh that is mended after each of its objects was emptied is where it began", () => {
  const mesh = createFuzzedMesh();
  for (let index = 0; index < targets.length; index++) {
    const emptied = editObjects([{ index, isDeleted: true, edits: [] }]);
    expect(mesh.run(emptied)).toEqual([]);
  }
  expect(mesh.mend()).toBe(true);
});
