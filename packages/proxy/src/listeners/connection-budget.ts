import { unpackAs } from "@meltemi/protos";
import type { OverloadManager } from "@meltemi/protos/envoy/config/overload/v3";
import type { Runtime } from "../config/runtime.ts";
import { ConfigError, compileAll } from "../lib/config-error.ts";

const monitor = "envoy.resource_monitors.global_downstream_max_connections";
const configType = "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig";
/** Older than the monitor, and used where there is none. */
const runtimeKey = "overload.global_downstream_max_connections";

/** How many connections of clients may be open at once, of all listeners together (docs: overload manager). */
export class ConnectionBudget {
  readonly #max: number | undefined;
  readonly #runtime: Pick<Runtime, "number">;
  #open = 0;

  /** Throws ConfigError, with a path within `overload`. */
  constructor(overload: OverloadManager | undefined, runtime: Pick<Runtime, "number">) {
    this.#max = readLimit(overload);
    this.#runtime = runtime;
  }

  /** False where there are too many; `free` gives back what was taken. */
  tryTake(): boolean {
    if (this.#open >= (this.#max ?? this.#runtime.number(runtimeKey, Number.POSITIVE_INFINITY))) return false;
    this.#open += 1;
    return true;
  }

  free(): void {
    this.#open -= 1;
  }
}

function readLimit(overload: OverloadManager | undefined): number | undefined {
  const limits = compileAll("resource_monitors", overload?.resource_monitors, ({ name, typed_config: any }) => {
    if (name !== monitor) return [];
    const config = any === undefined ? undefined : unpackAs(configType, any);
    const max = Number(config?.max_active_downstream_connections ?? 0);
    if (max > 0) return [max];
    throw new ConfigError("typed_config.max_active_downstream_connections", "must be above 0");
  });
  return limits.flat()[0];
}
