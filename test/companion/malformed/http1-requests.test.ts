import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { inspectFlag, measureGrowth } from "../heap-probe.ts";
import { expectIdle } from "../leave-nothing.ts";
import { startBoth } from "../static-plane.ts";
import { type Compared, compareWithKnown, listDifferences, listLaxer, type Planes } from "./compare-planes.ts";
import type { Http1Input } from "./http1-input.ts";
import { http1Inputs } from "./http1-inputs.ts";
import { readKnownDifferences } from "./known-differences.ts";
import { startLanes } from "./lanes.ts";
import { askStatuses } from "./raw-client.ts";
import type { Comparison } from "./verdict.ts";

let planes: Planes;
let known: ReadonlyMap<string, Comparison>;
let found: ReadonlyMap<string, Compared<readonly number[]>>;

const ask = ({ bytes }: Http1Input, port: number): Promise<readonly number[]> => askStatuses(port, bytes);

beforeAll(async () => {
  planes = await startBoth((plane) => startLanes({ plane, codec: "HTTP1", nodeFlags: [inspectFlag] }));
  known = readKnownDifferences("http1-differences.yaml", ["stricter", "answered otherwise", "passed on otherwise"]);
  found = await compareWithKnown(planes, { inputs: http1Inputs, known }, ask);
});

afterAll(() => Promise.all([planes?.envoy.stop(), planes?.companion.stop()]));

describe("malformed requests over HTTP/1.1", () => {
  it("are many, and different", () => {
    expect(new Set(http1Inputs.map(({ profile, bytes }) => profile + bytes)).size).toBeGreaterThanOrEqual(850);
    expect(new Set(http1Inputs.map(({ name }) => name)).size).toBe(http1Inputs.length);
  });

  it("bring no upstream a request that it would not see from Envoy", () => {
    expect(listLaxer(found)).toEqual([]);
  });

  it("come out as with Envoy, but for those that are known", () => {
    expect(listDifferences(found)).toEqual(Object.fromEntries(known));
  });

  it("leave nothing behind in either proxy", async () => {
    await Promise.all([expectIdle(planes.envoy.proxy), expectIdle(planes.companion.proxy)]);
  });

  it("cost no memory that is not given back", async () => {
    const { companion } = planes;
    const askAll = (): Promise<unknown> => companion.askAll(http1Inputs, ask);
    // Less than any object of a connection or a request.
    expect(await measureGrowth(companion.proxy.log, { count: http1Inputs.length, askAll })).toBeLessThan(1_024);
  });
});
