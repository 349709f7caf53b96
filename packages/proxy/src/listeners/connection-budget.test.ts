import { packAny } from "@meltemi/protos";
import { describe, expect, it } from "vitest";
import { ConfigError } from "../lib/config-error.ts";
import { ConnectionBudget } from "./connection-budget.ts";

const type = "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig";
const build = (max: number) => ({
  resource_monitors: [
    {
      name: "envoy.resource_monitors.global_downstream_max_connections",
      typed_config: packAny(type, { max_active_downstream_connections: max }),
    },
  ],
});
const noRuntime = { number: (_key: string, otherwise: number) => otherwise };

describe("ConnectionBudget", () => {
  it.each([
    ["the monitor", build(2), {}, 2],
    ["runtime where there is no monitor", { resource_monitors: [{ name: "other" }] }, { value: 3 }, 3],
    ["the monitor rather than runtime", build(2), { value: 3 }, 2],
    ["nothing", undefined, {}, 10],
  ])("takes its limit from %s", (_what, overload, { value }: { readonly value?: number }, expected) => {
    const budget = new ConnectionBudget(overload, { number: (_key, otherwise) => value ?? otherwise });
    const taken = Array.from({ length: 10 }, () => budget.tryTake());
    expect(taken.filter((isTaken) => isTaken).length).toBe(expected);
  });

  it("takes as many again as were given back", () => {
    const budget = new ConnectionBudget(build(1), noRuntime);
    expect([budget.tryTake(), budget.tryTake()]).toEqual([true, false]);
    budget.free();
    expect([budget.tryTake(), budget.tryTake()]).toEqual([true, false]);
  });

  it("refuses a limit of none", () => {
    expect(() => new ConnectionBudget(build(0), noRuntime)).toThrow(ConfigError);
  });
});
