import type { Counter, Stats } from "../../lib/stats.ts";
import { commandNames } from "./commands.ts";

interface CommandCounters {
  readonly total: Counter;
  readonly success: Counter;
  readonly error: Counter;
}

export type RedisStats = ReturnType<typeof createRedisStats>;

/** "redis.PREFIX." */
export function createRedisStats(stats: Stats) {
  const commands = new Map<string, CommandCounters>();
  const known = new Set(commandNames);
  return {
    total: stats.counter("downstream_cx_total"),
    active: stats.gauge("downstream_cx_active"),
    protocolError: stats.counter("downstream_cx_protocol_error"),
    receivedBytes: stats.counter("downstream_cx_rx_bytes_total"),
    sentBytes: stats.counter("downstream_cx_tx_bytes_total"),
    requests: stats.counter("downstream_rq_total"),
    activeRequests: stats.gauge("downstream_rq_active"),
    invalid: stats.counter("splitter.invalid_request"),
    unsupported: stats.counter("splitter.unsupported_command"),
    /** Made when a command comes first: there are many, and few are used. */
    ofCommand(name: string): CommandCounters {
      const found = commands.get(name);
      if (found !== undefined) return found;
      const scope = stats.scope(`command.${known.has(name) ? name : "unknown"}`);
      const made = { total: scope.counter("total"), success: scope.counter("success"), error: scope.counter("error") };
      commands.set(name, made);
      return made;
    },
  };
}
