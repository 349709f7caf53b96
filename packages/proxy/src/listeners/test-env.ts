/** What tests compile listeners and filters with: real statistics, and everything else as plain as can be. */
import type { Socket } from "node:net";
import { connect } from "node:net";
import { fromJson } from "@meltemi/protos";
import type { Listener } from "@meltemi/protos/envoy/config/listener/v3";
import type { LogEntry } from "../access-log/types.ts";
import type { ProxyEnv } from "../config/env.ts";
import { systemClock } from "../lib/clock.ts";
import { createStatsRegistry } from "../lib/create-stats.ts";
import { silentLog } from "../lib/log.ts";
import type { StatsRegistry } from "../lib/stats-registry.ts";
import { HandshakeLine } from "../tls/handshake-line.ts";
import type { UpstreamCluster } from "../upstream/types.ts";

export interface TestEnv extends ProxyEnv {
  readonly registry: StatsRegistry;
  /** What access logs were given. */
  readonly logged: LogEntry[];
  readonly clusterList: UpstreamCluster[];
  readonly runtimeValues: Map<string, number | boolean>;
}

export function createTestEnv(overrides: Partial<ProxyEnv> = {}): TestEnv {
  const registry = createStatsRegistry();
  const logged: LogEntry[] = [];
  const clusterList: UpstreamCluster[] = [];
  const runtimeValues = new Map<string, number | boolean>();
  const nothing = (): never => {
    throw new Error("is no part of this test");
  };
  return {
    registry,
    logged,
    clusterList,
    runtimeValues,
    clock: systemClock,
    log: silentLog,
    stats: registry,
    random: () => 0.5,
    node: { id: "test", cluster: "test" },
    runtime: {
      number: (key, otherwise) => Number(runtimeValues.get(key) ?? otherwise),
      flag: (key, otherwise) => Boolean(runtimeValues.get(key) ?? otherwise),
      isChosen: () => true,
      entries: () => runtimeValues,
    },
    clusters: { find: (name) => clusterList.find((each) => each.name === name), list: () => clusterList },
    handshakes: new HandshakeLine(systemClock),
    secrets: { open: nothing, list: () => [] },
    accessLogs: {
      compile: (config) => ({
        log: (entry) => {
          if ((config ?? []).length > 0) logged.push(entry);
        },
        close: () => undefined,
      }),
      reopen: () => undefined,
      close: async () => undefined,
    },
    routes: { open: nothing },
    compileRoutes: nothing,
    extensions: { open: nothing },
    ...overrides,
  };
}

/** A listener from JSON, as it is written in Envoy's documentation. */
export function listenerFrom(json: Readonly<Record<string, unknown>>): Listener {
  return fromJson("envoy.config.listener.v3.Listener", json);
}

export function filterJson(kind: string, type: string, config: Readonly<Record<string, unknown>> = {}) {
  return {
    name: `envoy.filters.${kind}`,
    typed_config: { "@type": `type.googleapis.com/envoy.extensions.filters.${type}`, ...config },
  };
}

/** A filter that says `text` and hangs up. */
export function sayJson(text: string) {
  return filterJson("network.direct_response", "network.direct_response.v3.Config", {
    response: { inline_string: text },
  });
}

export interface TestClient {
  readonly socket: Socket;
  /** What came so far. */
  text(): string;
  /** Resolves when `text` ends with this. Rejects when the connection ends before. */
  until(end: string): Promise<void>;
  /** Resolves when the connection is over, however it ended. */
  readonly closed: Promise<void>;
}

export function openClient(port: number, options: { readonly allowHalfOpen?: boolean } = {}): TestClient {
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: options.allowHalfOpen === true });
  let text = "";
  const waiting = new Set<() => void>();
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  socket.on("error", () => undefined);
  socket.on("data", (chunk) => {
    text += chunk.toString("latin1");
    for (const check of waiting) check();
  });
  return {
    socket,
    closed,
    text: () => text,
    until: (end) =>
      new Promise((resolve, reject) => {
        const check = (): void => {
          if (!text.endsWith(end)) return;
          waiting.delete(check);
          resolve();
        };
        waiting.add(check);
        void closed.then(() => reject(new Error(`the connection ended after "${text}"`)));
        check();
      }),
  };
}
