import type { Counter, Stats } from "../../lib/stats.ts";
import type { MongoMessage } from "./mongo-reader.ts";

export interface MongoCounters {
  count(message: MongoMessage): void;
  decodingError(): void;
  delayed(): void;
}

/** Flags of OP_QUERY. */
const queryFlags = [
  [2, "op_query_tailable_cursor"],
  [16, "op_query_no_cursor_timeout"],
  [32, "op_query_await_data"],
  [64, "op_query_exhaust"],
] as const;

/** Flags of OP_REPLY. */
const replyFlags = [
  [1, "op_reply_cursor_not_found"],
  [2, "op_reply_query_failure"],
] as const;

/** Commands by name, as many as a client cannot invent at will. */
const knownCommands = new Set(["delete", "insert", "update", "find", "aggregate", "count", "distinct", "ismaster"]);

/** "mongo.PREFIX." */
export function createMongoCounters(stats: Stats): MongoCounters {
  const decodingError = stats.counter("decoding_error");
  const delayed = stats.counter("delays_injected");
  const counterOfOp = {
    query: stats.counter("op_query"),
    reply: stats.counter("op_reply"),
    insert: stats.counter("op_insert"),
    get_more: stats.counter("op_get_more"),
    kill_cursors: stats.counter("op_kill_cursors"),
    command: stats.counter("op_command"),
    command_reply: stats.counter("op_command_reply"),
  };
  const ofQuery = queryFlags.map(([flag, name]) => [flag, stats.counter(name)] as const);
  const ofReply = replyFlags.map(([flag, name]) => [flag, stats.counter(name)] as const);
  const noMaxTime = stats.counter("op_query_no_max_time");
  const validCursor = stats.counter("op_reply_valid_cursor");
  return {
    decodingError: () => decodingError.inc(),
    delayed: () => delayed.inc(),
    count(message) {
      counterOfOp[message.op].inc();
      if (message.op === "query") {
        countFlags(ofQuery, message.flags);
        if (!message.hasMaxTime) noMaxTime.inc();
        countTarget(stats, message);
      } else if (message.op === "reply") {
        countFlags(ofReply, message.flags);
        if (message.hasCursor) validCursor.inc();
      }
    },
  };
}

function countFlags(counters: readonly (readonly [flag: number, counter: Counter])[], flags: number): void {
  for (const [flag, counter] of counters) if ((flags & flag) !== 0) counter.inc();
}

function countTarget(stats: Stats, { collection, firstKey }: Extract<MongoMessage, { readonly op: "query" }>): void {
  const dot = collection.indexOf(".");
  const name = dot < 0 ? collection : collection.slice(dot + 1);
  if (name !== "$cmd") {
    stats.counter(`collection.${name}.query.total`).inc();
    return;
  }
  const command = firstKey.toLowerCase();
  stats.counter(`cmd.${knownCommands.has(command) ? firstKey : "unknown_command"}.total`).inc();
}
