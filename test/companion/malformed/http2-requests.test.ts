import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { inspectFlag, measureGrowth } from "../heap-probe.ts";
import { expectIdle } from "../leave-nothing.ts";
import { startBoth } from "../static-plane.ts";
import { type Compared, compareWithKnown, listDifferences, listLaxer, type Planes } from "./compare-planes.ts";
import { askFrames, type Http2Answer } from "./http2-client.ts";
import { type Http2Input, http2Inputs } from "./http2-inputs.ts";
import { readKnownDifferences } from "./known-differences.ts";
import { startLanes } from "./lanes.ts";
import type { Comparison } from "./verdict.ts";

let planes: Planes;
let known: ReadonlyMap<string, Comparison>;
let found: ReadonlyMap<string, Compared<Http2Answer>>;

const ask = ({ frames }: Http2Input, port: number): Promise<Http2Answer> => askFrames(port, frames);

beforeAll(async () => {
  planes = await startBoth((plane) => startLanes({ plane, codec: "HTTP2", nodeFlags: [inspectFlag] }));
  const allowed = ["stricter", "answered otherwise", "passed on otherwise"] as const;
  known = readKnownDifferences("http2-differences.yaml", allowed);
  found = await compareWithKnown(planes, { inputs: http2Inputs, known }, ask);
});

afterAll(() => Promise.all([planes?.envoy.stop(), planes?.companion.stop()]));

describe("malformed requests over HTTP/2, passed on over HTTP/1.1", () => {
  it("are many, and different", () => {
    const bytes = http2Inputs.map(({ profile, frames }) => profile + frames.toString("latin1"));
    expect(new Set(bytes).size).toBeGreaterThanOrEqual(250);
    expect(new Set(http2Inputs.map(({ name }) => name)).size).toBe(http2Inputs.length);
  });

  it("bring no upstream a request that is not its client's own, or that Envoy would keep from it", () => {
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
    const askAll = (): Promise<unknown> => companion.askAll(http2Inputs, ask);
    // A session or a stream that stayed for each input would be more.
    expect(await measureGrowth(companion.proxy.log, { count: http2Inputs.length, askAll })).toBeLessThan(2_048);
  });
});
