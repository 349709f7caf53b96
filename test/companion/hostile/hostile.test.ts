/** The attacks of `make hostile` with few hundreds of clients for a second each. Times are not judged here. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { HostileRig } from "./hostile-rig.ts";
import { clientScenarios, controlPlaneScenarios } from "./scenarios.ts";
import { findFaults } from "./verdict.ts";

const options = { dataPlane: "companion", rate: 50, holdMs: 1_000, scale: 0.05 } as const;
const judged = { peaceP99: Number.POSITIVE_INFINITY, noiseMs: 0 } as const;

describe.each([
  ["state of the world", false],
  ["delta", true],
])("a control plane that says anything, %s", (_form, isDelta) => {
  let rig: HostileRig;
  beforeAll(async () => {
    rig = await HostileRig.start({ ...options, isDelta });
  });
  afterAll(() => rig.stop());

  it.each(controlPlaneScenarios)("$title: the last good configuration stays in use", async (scenario) => {
    const outcome = await rig.confuse(scenario);
    expect(findFaults(outcome, { ...judged, clients: 0, scenario })).toEqual([]);
    expect(rig.proxy.isAlive).toBe(true);
  });
});

describe("clients that say anything", () => {
  let rig: HostileRig;
  beforeAll(async () => {
    rig = await HostileRig.start({ ...options, isDelta: false });
  });
  afterAll(() => rig.stop());

  it.each(clientScenarios)("$title: others are served, and nothing is left", async (scenario) => {
    const outcome = await rig.attack(scenario);
    const { clients, sees = "connected" } = scenario;
    expect(findFaults(outcome, { ...judged, clients: clients * options.scale, sees })).toEqual([]);
    expect(rig.proxy.isAlive).toBe(true);
  });
});
