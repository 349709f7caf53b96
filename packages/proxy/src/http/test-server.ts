/** A connection manager on a loopback port for tests: real sockets, codecs and rules; the last filter is the test's. */
import { connect as connectTcp, createServer, type Socket } from "node:net";
import type { HttpConnectionManager } from "@meltemi/protos/envoy/extensions/filters/network/http_connection_manager/v3";
import type { AccessLogger, LogEntry } from "../access-log/types.ts";
import { createTestEnv } from "../filters/test-exchange.ts";
import { type Clock, systemClock } from "../lib/clock.ts";
import { Closers } from "../lib/closers.ts";
import { createStatsRegistry } from "../lib/create-stats.ts";
import { noteAcceptedSocket } from "../listeners/accepted-socket.ts";
import { Connection } from "../listeners/downstream-connection.ts";
import { Deadlines } from "../router/deadlines.ts";
import type { RouteTable } from "../router/types.ts";
import { bodyOf } from "./body.ts";
import { ClientConnections } from "./client-connections.ts";
import { createConnectionStats } from "./connection-stats.ts";
import type { HttpHandler } from "./exchange.ts";
import { HeaderList } from "./header-list.ts";
import { DateHeader } from "./http-date.ts";
import { findHttp2CodecStats } from "./http2/codec-stats.ts";
import { compileLocalReplies } from "./local-replies.ts";
import type { HttpResponse } from "./message.ts";
import { compileSettings } from "./settings.ts";
import { compileUpgradeChains } from "./upgrade-chains.ts";

export interface TestServerOptions {
  readonly wire?: HttpConnectionManager;
  readonly handle?: HttpHandler;
  readonly routes?: RouteTable;
  readonly clock?: Clock;
}

export interface TestServer {
  readonly port: number;
  /** The requests that reached the filters, as "METHOD authority path". */
  readonly seen: readonly string[];
  readonly entries: readonly LogEntry[];
  readonly manager: ClientConnections;
  /** The connections of clients. */
  readonly connections: readonly Connection[];
  stat(name: string): number;
  /** Sends bytes and gives all that comes until the server ends the connection, or `until` is found in it. */
  ask(bytes: string | readonly string[], until?: string | RegExp): Promise<Answer>;
  close(): Promise<void>;
}

export interface Answer {
  readonly text: string;
  readonly isClosed: boolean;
}

/** What the chain answers where a test does not care. */
export const sayOk: HttpHandler = async (exchange) => {
  exchange.request.body?.cancel();
  return textResponse(200, "ok");
};

export function textResponse(status: number, text: string): HttpResponse {
  const bytes = Buffer.from(text);
  return { status, headers: new HeaderList(["content-length", String(bytes.length)]), body: bodyOf(bytes) };
}

export async function startTestServer(options: TestServerOptions = {}): Promise<TestServer> {
  const { handle = sayOk, clock = systemClock, routes } = options;
  const wire: HttpConnectionManager = { stat_prefix: "test", ...options.wire };
  const stats = createStatsRegistry();
  const env = createTestEnv(stats, { clock });
  const seen: string[] = [];
  const entries: LogEntry[] = [];
  const accessLog: AccessLogger = { log: (entry) => entries.push(entry), close: () => undefined };
  const chain = {
    handle: ((exchange) => {
      const { method, authority, path } = exchange.request;
      seen.push(`${method} ${authority} ${path}`);
      return handle(exchange);
    }) satisfies HttpHandler,
    nameOf: ({ name }: { readonly name: string }) => name,
    ready: [],
    close: () => undefined,
  };
  const settings = compileSettings(wire, env);
  const manager = new ClientConnections(
    {
      env,
      settings,
      deadlines: new Deadlines(clock),
      stats: createConnectionStats(env.httpStats, env.listenerStats.scope("http.test")),
      http2Stats: findHttp2CodecStats(stats),
      date: new DateHeader(clock),
      chain,
      upgrades: compileUpgradeChains(wire, env, []),
      routes: () => routes,
      renderReply: compileLocalReplies(wire.local_reply_config, env),
      tracer: undefined,
      isEgress: false,
      accessLog,
    },
    Promise.resolve(),
    new Closers(),
  );
  const connections: Connection[] = [];
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    const accepted = noteAcceptedSocket(socket, { ip: "127.0.0.1", port: 0 });
    const connection = new Connection(connections.length + 1, accepted, clock);
    connections.push(connection);
    manager.serve(connection);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return {
    port,
    seen,
    entries,
    manager,
    connections,
    stat: (name) => stats.counters().get(name) ?? stats.gauges().get(name) ?? 0,
    ask: (bytes, until) => ask(port, typeof bytes === "string" ? [bytes] : bytes, until),
    close: () =>
      new Promise((resolve) => {
        manager.close();
        server.close(() => resolve());
      }),
  };
}

/** A raw client of the server. */
export function openSocket(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connectTcp({ port, host: "127.0.0.1", allowHalfOpen: true, noDelay: true }, () => resolve(socket));
    socket.on("error", reject);
  });
}

async function ask(port: number, parts: readonly string[], until?: string | RegExp): Promise<Answer> {
  const socket = await openSocket(port);
  const answer = readAll(socket, until);
  for (const part of parts) {
    await new Promise((resolve) => socket.write(Buffer.from(part, "latin1"), resolve));
    // So that the parts arrive as such more often than not.
    await new Promise((resolve) => setImmediate(resolve));
  }
  const result = await answer;
  socket.destroy();
  return result;
}

/** Reads until the other side ends, or `until` has come. */
export function readAll(socket: Socket, until?: string | RegExp): Promise<Answer> {
  return new Promise((resolve) => {
    let text = "";
    const isThere = (): boolean => {
      if (until === undefined) return false;
      return typeof until === "string" ? text.includes(until) : until.test(text);
    };
    const onData = (chunk: Buffer): void => {
      text += chunk.toString("latin1");
      if (!isThere()) return;
      socket.off("data", onData);
      resolve({ text, isClosed: false });
    };
    socket.on("data", onData);
    socket.on("error", () => resolve({ text, isClosed: true }));
    socket.on("end", () => resolve({ text, isClosed: true }));
    socket.on("close", () => resolve({ text, isClosed: true }));
  });
}
