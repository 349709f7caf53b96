/**
 * h2spec asks Envoy and the companion proxy the same: what Envoy passes, the companion passes. Both answer by themselves,
 * pass requests on over HTTP/2, and end TLS before an upstream of HTTP/1.1.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ConformancePrograms, conformancePrograms } from "../../../tools/conformance/programs.ts";
import { type DataPlane, dataPlanes } from "../../envoy/envoy-process.ts";
import { type EchoUpstream, startHttp2Echo, startHttpEcho } from "../../support/echo-upstreams.ts";
import { createTestAuthority } from "../../support/test-authority.ts";
import { readDifferences } from "./differences.ts";
import { type H2specTarget, runH2spec, runH2specCases, type Verdicts } from "./h2spec.ts";
import { type LanePlane, startLanes } from "./lanes.ts";

/** Of version 2.2.1 of h2spec, all sections. */
const caseCount = 146;
/** Milliseconds: cases that wait for what should not come take their time, the more the slower the machine is. */
const patience = 400_000;
const mebibyte = 1_048_576;
const laneNames = ["own-answer", "to-http2", "tls-to-http1"] as const;
type LaneName = (typeof laneNames)[number];

const upstreams: EchoUpstream[] = [];
const planes = new Map<DataPlane, LanePlane>();
let programs: ConformancePrograms;

beforeAll(async () => {
  programs = await conformancePrograms();
  const note = (): void => undefined;
  const http1 = await startHttpEcho({ name: "http1", note });
  const http2 = await startHttp2Echo({ name: "http2", note });
  upstreams.push(http1, http2);
  const certificate = await (await createTestAuthority("conformance")).issue("conformance.test");
  const lanes = [
    { name: "own-answer", isTls: false, upstream: undefined },
    { name: "to-http2", isTls: false, upstream: { port: http2.port, protocol: "http2" } },
    { name: "tls-to-http1", isTls: true, upstream: { port: http1.port, protocol: "http1" } },
  ] as const;
  for (const plane of dataPlanes) planes.set(plane, await startLanes({ plane, lanes, certificate }));
});

afterAll(async () => {
  for (const plane of planes.values()) await plane.stop();
  for (const upstream of upstreams) await upstream.stop();
});

function findTarget(plane: DataPlane, lane: LaneName, timeoutSeconds: number): H2specTarget {
  const port = planes.get(plane)?.port(lane) ?? 0;
  return { program: programs.h2spec, port, isTls: lane.startsWith("tls"), timeoutSeconds };
}

describe.concurrent("h2spec", { timeout: patience }, () => {
  it.each(laneNames)("passes with the companion wherever it passes with Envoy: %s", async (lane) => {
    const targets = dataPlanes.map((plane) => findTarget(plane, lane, 2));
    const [envoy, companion] = await Promise.all(targets.map(runH2spec));
    if (envoy === undefined || companion === undefined) throw new Error("not both were asked");
    expect([envoy.size, companion.size]).toEqual([caseCount, caseCount]);
    const isWorse = (name: string, given: Verdicts): boolean =>
      envoy.get(name) !== "failed" && given.get(name) !== envoy.get(name);
    const suspects = [...envoy.keys()].filter((name) => isWorse(name, companion));
    // Two seconds may be short where many programs run: whoever has failed by then may take longer, alone.
    const again = await runH2specCases(findTarget("companion", lane, 20), suspects);
    expect(suspects.filter((name) => isWorse(name, again))).toEqual(readDifferences(/^(generic|http2|hpack)\//));
  });
});

it.each(dataPlanes)("%s goes on, and keeps no connection and no request", async (name) => {
  const plane = planes.get(name);
  await plane?.expectIdle();
  const response = await fetch(`http://127.0.0.1:${plane?.port("own-answer")}/`);
  expect([plane?.isRunning(), response.status, await response.text()]).toEqual([
    true,
    200,
    "answered by the proxy itself\n",
  ]);
});

it("leaves no more memory behind in the companion the more often it is run", { timeout: patience }, async () => {
  const growth = await planes.get("companion")?.measureGrowth(async () => {
    await Promise.all(laneNames.map((lane) => runH2spec(findTarget("companion", lane, 2))));
  });
  // 438 connections come and go each time: one that was kept, with its session, is some 10 kB.
  expect(growth?.heap).toBeLessThan(2 * mebibyte);
  expect(growth?.resident).toBeLessThan(64 * mebibyte);
});
