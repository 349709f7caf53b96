import { durationToMs } from "@meltemi/protos";
import type { FaultDelay } from "@meltemi/protos/envoy/extensions/filters/common/fault/v3";
import type { MongoProxy } from "@meltemi/protos/envoy/extensions/filters/network/mongo_proxy/v3";
import type { NetworkFilterEnv } from "../../config/env.ts";
import type { Timer } from "../../lib/clock.ts";
import { ConfigError, within } from "../../lib/config-error.ts";
import type { DownstreamConnection } from "../../listeners/connection.ts";
import { fractionOf } from "../../matchers/fraction.ts";
import type { NetworkFilterFactory, NetworkObserver } from "../types.ts";
import { createMongoCounters, type MongoCounters } from "./mongo-counters.ts";
import { type MongoMessage, MongoReader } from "./mongo-reader.ts";

/**
 * Counts what goes by in MongoDB's wire protocol, and delays it where asked to. Not there, as
 * no client sees them: access_log (a file in a form of its own), histograms of replies, statistics by call site.
 */
export const mongoProxyFactory: NetworkFilterFactory<MongoProxy> = {
  name: "envoy.filters.network.mongo_proxy",
  type: "envoy.extensions.filters.network.mongo_proxy.v3.MongoProxy",
  compile(config, env) {
    if (config.stat_prefix === undefined || config.stat_prefix === "") {
      throw new ConfigError("stat_prefix", "must not be empty");
    }
    const counters = createMongoCounters(env.stats.scope(`mongo.${config.stat_prefix}`));
    const { delay } = config;
    const drawDelay = delay === undefined ? undefined : within("delay", () => compileDelay(delay, env));
    const note = config.emit_dynamic_metadata === true ? noteOperation : undefined;
    return { observe: (connection) => observeConnection({ counters, drawDelay, env, note }, connection) };
  },
};

function compileDelay(delay: FaultDelay, { random, runtime }: NetworkFilterEnv): () => number {
  const fixedMs = durationToMs(delay.fixed_delay);
  if (fixedMs === undefined) throw new ConfigError("fixed_delay", "is required");
  const percent = fractionOf(delay.percentage) * 100;
  return () => {
    const chance = runtime.number("mongo.fault.fixed_delay.percent", percent);
    if (random() * 100 >= chance) return 0;
    return runtime.number("mongo.fault.fixed_delay.duration_ms", fixedMs);
  };
}

interface Parts {
  readonly counters: MongoCounters;
  readonly drawDelay: (() => number) | undefined;
  readonly env: NetworkFilterEnv;
  readonly note: ((connection: DownstreamConnection, message: MongoMessage) => void) | undefined;
}

/** Says in the metadata what is done to what, for logs: {"db.collection": ["insert"]}. */
function noteOperation({ info: { dynamicMetadata } }: DownstreamConnection, message: MongoMessage): void {
  if (message.op !== "query" && message.op !== "insert") return;
  dynamicMetadata.set("envoy.filters.network.mongo_proxy", { [message.collection]: [message.op] });
}

function observeConnection(
  { counters, drawDelay, env, note }: Parts,
  connection: DownstreamConnection,
): NetworkObserver {
  const requests = new MongoReader();
  const replies = new MongoReader();
  let timer: Timer | undefined;
  let release: (() => void) | undefined;
  let isSniffing = true;
  const read = (reader: MongoReader, chunk: Uint8Array): readonly MongoMessage[] => {
    if (!isSniffing) return [];
    const messages = reader.read(chunk);
    if (messages !== undefined) return messages;
    // Something else, or a version of the protocol that Envoy does not read either: it passes unseen from here on.
    isSniffing = false;
    counters.decodingError();
    return [];
  };
  const hold = (): Promise<void> | undefined => {
    const delayMs = drawDelay?.() ?? 0;
    if (delayMs <= 0) return undefined;
    counters.delayed();
    return new Promise((resolve) => {
      release = resolve;
      timer = env.clock.after(delayMs, resolve);
    });
  };
  return {
    fromClient(chunk) {
      const messages = read(requests, chunk);
      for (const message of messages) {
        counters.count(message);
        note?.(connection, message);
      }
      return messages.length === 0 ? undefined : hold();
    },
    fromServer(chunk) {
      for (const message of read(replies, chunk)) counters.count(message);
    },
    close() {
      timer?.close();
      release?.();
    },
  };
}
