/** The process that holds the proxies: what it costs is not what the server costs. */
import { answerParent } from "../process-link.ts";
import type { Condition } from "./expectation.ts";
import { Fleet, type FleetOptions } from "./fleet.ts";

export type FleetCommand =
  | { readonly do: "connect"; readonly options: FleetOptions }
  | { readonly do: "cut" }
  | {
      readonly do: "expect";
      readonly id: string;
      readonly conditions: readonly Condition[];
      readonly groups?: readonly string[];
    }
  | { readonly do: "arrivals"; readonly id: string; readonly limitMs: number }
  | { readonly do: "stall"; readonly count: number }
  | { readonly do: "take" }
  | { readonly do: "close" };

let fleet: Fleet | undefined;

answerParent<FleetCommand>(
  async (command) => answer(command),
  async () => fleet?.close(),
);

async function answer(command: FleetCommand): Promise<unknown> {
  switch (command.do) {
    case "connect":
      fleet?.close();
      fleet = new Fleet(command.options);
      return fleet.connect();
    case "cut":
      return fleet?.cut();
    case "expect":
      return fleet?.expect(command.id, command.conditions, command.groups);
    case "arrivals":
      return fleet?.arrivals(command.id, command.limitMs);
    case "stall":
      return fleet?.stall(command.count);
    case "take": {
      const { user, system } = process.cpuUsage();
      return { ...fleet?.take(), cpuSeconds: (user + system) / 1e6 };
    }
    case "close":
      fleet?.close();
      fleet = undefined;
      return undefined;
  }
}
