/**
 * h2specd answers Envoy and the companion proxy, who ask it for a client: what Envoy notices as an upstream's client, the
 * companion notices, and both tell the client behind them the same.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ConformancePrograms, conformancePrograms } from "../../../tools/conformance/programs.ts";
import { type HeldPorts, holdPorts } from "../../../tools/free-ports.ts";
import { type DataPlane, dataPlanes } from "../../envoy/envoy-process.ts";
import { createTestAuthority } from "../../support/test-authority.ts";
import { until } from "../../support/until.ts";
import { readDifferences } from "./differences.ts";
import { type H2specdCase, h2specdParts, startH2specd } from "./h2specd.ts";
import { type LanePlane, startLanes } from "./lanes.ts";

interface Answered extends H2specdCase {
  readonly status: number;
}

let programs: ConformancePrograms;
const stops: (() => Promise<void>)[] = [];

beforeAll(async () => {
  programs = await conformancePrograms();
});

afterAll(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

/** h2specd takes ports one behind the other. */
async function holdRow(count: number): Promise<HeldPorts> {
  for (let attempt = 0; attempt < 10; attempt++) {
    const held = await holdPorts(count);
    const first = held.ports[0] ?? 0;
    if (held.ports.every((port, index) => port === first + index)) return held;
    await held.release();
  }
  throw new Error(`there are no ${count} free ports in a row`);
}

async function askAll(plane: DataPlane, { specs, count }: (typeof h2specdParts)[number]): Promise<readonly Answered[]> {
  const held = await holdRow(count + 1);
  stops.push(held.release);
  const [pagePort = 0, ...ports] = held.ports;
  const server = await startH2specd({ program: programs.h2specd, specs, firstPort: pagePort + 1, pagePort });
  stops.push(server.stop);
  const certificate = await (await createTestAuthority("conformance")).issue("conformance.test");
  const lanes = ports.map((port) => ({
    name: String(port),
    isTls: false,
    upstream: { port, protocol: "http2" as const },
  }));
  const proxy = await startLanes({ plane, lanes, certificate });
  stops.push(proxy.stop);
  const answered: Answered[] = [];
  for (const { name } of lanes) {
    const status = await ask(proxy, name);
    await until(`h2specd has a verdict for port ${name}`, () => server.verdicts.length > answered.length);
    const verdict = server.verdicts[answered.length];
    if (verdict !== undefined) answered.push({ ...verdict, status });
  }
  await proxy.expectIdle();
  expect(proxy.isRunning()).toBe(true);
  return answered;
}

/** The status; 0 where an answer broke off before its head. */
async function ask(proxy: LanePlane, lane: string): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${proxy.port(lane)}/`).catch(() => undefined);
  // What is behind the head may break off.
  await response?.arrayBuffer().catch(() => undefined);
  return response?.status ?? 0;
}

describe.concurrent("h2specd", () => {
  it.each(h2specdParts)("passes the companion wherever it passes Envoy: $specs", async (part) => {
    const [envoy = [], companion = []] = await Promise.all(dataPlanes.map((plane) => askAll(plane, part)));
    expect(envoy).toHaveLength(part.count);
    expect(companion.map(({ name }) => name)).toEqual(envoy.map(({ name }) => name));
    const worse = envoy.filter(({ hasPassed, status }, index) => {
      const other = companion[index];
      return (hasPassed && other?.hasPassed !== true) || other?.status !== status;
    });
    const known = readDifferences(/^client\//).filter((name) => envoy.some((each) => each.name === name));
    expect(worse.map(({ name }) => name)).toEqual(known);
  });
});
