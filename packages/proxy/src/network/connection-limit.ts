import { durationToMs } from "@meltemi/protos";
import type { ConnectionLimit } from "@meltemi/protos/envoy/extensions/filters/network/connection_limit/v3";
import type { Timer } from "../lib/clock.ts";
import { ConfigError } from "../lib/config-error.ts";
import { wrappedBool } from "../lib/wrapped.ts";
import type { NetworkFilterFactory } from "./types.ts";

/** Lets only so many connections of a chain live at once; the others are closed, after a delay where one is given. */
export const connectionLimitFactory: NetworkFilterFactory<ConnectionLimit> = {
  name: "envoy.filters.network.connection_limit",
  type: "envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit",
  compile(config, env) {
    const max = Number(config.max_connections?.value ?? 0);
    if (max < 1) throw new ConfigError("max_connections", "must be at least 1");
    const delayMs = durationToMs(config.delay) ?? 0;
    const stats = env.stats.scope(`connection_limit.${config.stat_prefix ?? ""}`);
    const limited = stats.counter("limited_connections");
    const active = stats.gauge("active_connections");
    const switchKey = config.runtime_enabled?.runtime_key ?? "";
    const isOnByDefault = wrappedBool(config.runtime_enabled?.default_value, true);
    const waiting = new Set<Timer>();
    let count = 0;
    return {
      admit(connection) {
        if (!env.runtime.flag(switchKey, isOnByDefault)) return true;
        if (count < max) {
          count += 1;
          active.inc();
          connection.onClose(() => {
            count -= 1;
            active.dec();
          });
          return true;
        }
        limited.inc();
        if (delayMs === 0) connection.close("reset", "over_connection_limit");
        else {
          const timer = env.clock.after(delayMs, () => connection.close("reset", "over_connection_limit"));
          waiting.add(timer);
          connection.onClose(() => {
            timer.close();
            waiting.delete(timer);
          });
        }
        return false;
      },
      close() {
        for (const timer of waiting) timer.close();
      },
    };
  },
};
