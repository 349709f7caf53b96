import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { inspectFlag, measureGrowth } from "../heap-probe.ts";
import { expectIdle } from "../leave-nothing.ts";
import { startBoth } from "../static-plane.ts";
import type { ClientAnswer } from "./answers.ts";
import { compareAnswers } from "./compare-answers.ts";
import { readKnownDifferences } from "./known-differences.ts";
import { responseInputs } from "./response-inputs.ts";
import { type ResponsePlane, startResponsePlane } from "./response-planes.ts";
import type { Comparison } from "./verdict.ts";

interface Compared {
  readonly name: string;
  readonly comparison: Comparison;
  readonly envoy: readonly ClientAnswer[];
  readonly companion: readonly ClientAnswer[];
}

const tries = 3;
const everything = responseInputs.map((_, place) => place);

let envoy: ResponsePlane;
let companion: ResponsePlane;
let known: ReadonlyMap<string, Comparison>;
let found: readonly Compared[];

beforeAll(async () => {
  const options = { inputs: responseInputs, nodeFlags: [inspectFlag] };
  ({ envoy, companion } = await startBoth((plane) => startResponsePlane({ ...options, plane })));
  const allowed = ["stricter", "answered otherwise", "passed on otherwise"] as const;
  known = readKnownDifferences("response-differences.yaml", allowed);
  found = await compareAll();
});

afterAll(() => Promise.all([envoy?.stop(), companion?.stop()]));

/** Those that come out otherwise than is known are asked again: a busy machine makes any request late. */
async function compareAll(): Promise<readonly Compared[]> {
  const results: Compared[] = [];
  let places: readonly number[] = everything;
  for (let round = 0; round < tries && places.length > 0; round++) {
    const [theirs, ours] = await Promise.all([envoy.askAll(places), companion.askAll(places)]);
    for (const [index, place] of places.entries()) {
      const [one = [], other = []] = [theirs[index], ours[index]];
      const name = responseInputs[place]?.name ?? "";
      results[place] = { name, comparison: compareAnswers(one, other), envoy: one, companion: other };
    }
    places = places.filter((place) => {
      const result = results[place];
      return result !== undefined && result.comparison !== (known.get(result.name) ?? "equal");
    });
  }
  return results;
}

describe("malformed answers of upstreams", () => {
  it("are many, and different", () => {
    expect(new Set(responseInputs.map((input) => JSON.stringify({ ...input, name: "" }))).size).toBeGreaterThan(220);
    expect(new Set(responseInputs.map(({ name }) => name)).size).toBe(responseInputs.length);
  });

  it("give no client what Envoy keeps from it, and no request the answer to another one", () => {
    expect(found.filter(({ comparison }) => comparison === "laxer")).toEqual([]);
    const last = found
      .map((each) => each.companion.at(-1))
      .filter((answer) => answer?.headers.join().includes("close"));
    expect(last.length).toBeGreaterThan(found.length / 2);
    expect(last.filter((answer) => answer?.status === 200 && !/^(?:end|ok)?$/.test(answer.body))).toEqual([]);
  });

  it("come out as with Envoy, but for those that are known", () => {
    const differing = found.filter(({ comparison }) => comparison !== "equal");
    expect(Object.fromEntries(differing.map(({ name, comparison }) => [name, comparison]))).toEqual(
      Object.fromEntries(known),
    );
  });

  it("leave nothing behind in either proxy", async () => {
    await Promise.all([expectIdle(envoy.proxy), expectIdle(companion.proxy)]);
  });

  it("cost no memory that is not given back", async () => {
    const askAll = (): Promise<unknown> => companion.askAll(everything);
    // A connection that stayed for each input would be more.
    expect(await measureGrowth(companion.proxy.log, { count: everything.length, askAll })).toBeLessThan(2_048);
  });
});
