import { ProcessLink } from "../process-link.ts";
import type { Condition } from "./expectation.ts";
import type { FleetOptions, FleetReading } from "./fleet.ts";
import type { FleetCommand } from "./fleet-process.ts";

/** A reading with the CPU seconds of the proxies' process since its start. */
export type FleetUsage = FleetReading & { readonly cpuSeconds: number };

/** Proxies in a process of their own. */
export class FleetLink {
  readonly #link = new ProcessLink("proxies/fleet-process.ts", {});

  /** Connects new proxies (earlier ones go); the milliseconds that each needed until it had everything. */
  connect(options: FleetOptions): Promise<readonly number[]> {
    return this.#ask({ do: "connect", options });
  }

  /** Cuts all connections and lets them come back; milliseconds as above. */
  cut(): Promise<readonly number[]> {
    return this.#ask({ do: "cut" });
  }

  /** Resolves once the proxies look for the markers; before that nothing must be changed. */
  expect(id: string, conditions: readonly Condition[], groups?: readonly string[]): Promise<void> {
    return this.#ask({ do: "expect", id, conditions, ...(groups === undefined ? {} : { groups }) });
  }

  /** Times at which proxies had what was expected; rejects after `limitMs`. */
  arrivals(id: string, limitMs: number): Promise<readonly number[]> {
    return this.#ask({ do: "arrivals", id, limitMs });
  }

  stall(count: number): Promise<void> {
    return this.#ask({ do: "stall", count });
  }

  take(): Promise<FleetUsage> {
    return this.#ask({ do: "take" });
  }

  close(): Promise<void> {
    return this.#ask({ do: "close" });
  }

  stop(): Promise<void> {
    return this.#link.stop();
  }

  #ask<Value>(command: FleetCommand): Promise<Value> {
    return this.#link.ask<Value>(command);
  }
}
