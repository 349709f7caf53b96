/** Exchanges and environments for tests of routes and of the router. */
import type { Runtime } from "../../config/runtime.ts";
import { createTestEnv } from "../../filters/test-exchange.ts";
import type { Exchange } from "../../http/exchange.ts";
import { HeaderList } from "../../http/header-list.ts";
import { compileLocalReplies } from "../../http/local-replies.ts";
import type { HttpRequest } from "../../http/message.ts";
import { StreamInfo } from "../../http/stream-info.ts";
import { createStatsRegistry } from "../../lib/create-stats.ts";
import type { DownstreamConnection } from "../../listeners/connection.ts";
import { fractionOf } from "../../matchers/fraction.ts";
import type { ClusterManager } from "../../upstream/types.ts";
import type { Route, RouteEnv, RouteTable } from "../types.ts";

export const testRuntime: Runtime = {
  number: (_key, otherwise) => otherwise,
  flag: (_key, otherwise) => otherwise,
  isChosen: (fraction, dice) => dice < fractionOf(fraction?.default_value),
  entries: () => new Map(),
};

export const noClusters: ClusterManager = { find: () => undefined, list: () => [] };

export function testRouteEnv(changes: Partial<RouteEnv> = {}): RouteEnv {
  return {
    random: () => 0.5,
    runtime: testRuntime,
    clusters: noClusters,
    stats: createStatsRegistry(),
    compileFilterConfig: () => undefined,
    ...changes,
  };
}

const renderReply = compileLocalReplies({}, createTestEnv(createStatsRegistry()));

export interface TestRequest {
  readonly method?: string;
  readonly scheme?: "http" | "https";
  readonly authority?: string;
  readonly path?: string;
  readonly headers?: readonly string[];
  readonly body?: HttpRequest["body"];
  readonly upgrade?: string;
}

export interface TestExchange extends Exchange {
  /** As if the client had gone. */
  abort(): void;
  /** Everything is over. */
  finish(): void;
  readonly informed: number[];
}

/** `table` finds the route; without one there is none. */
export function createTestExchange(request: TestRequest, table?: RouteTable): TestExchange {
  const connection = testConnection();
  const aborts = new Set<(cause: Error) => void>();
  const ends: (() => void)[] = [];
  let route: Route | undefined;
  let isAborted = false;
  const exchange: TestExchange = {
    connection,
    info: connection.info,
    request: {
      method: request.method ?? "GET",
      scheme: request.scheme ?? "http",
      authority: request.authority ?? "a.com",
      path: request.path ?? "/",
      headers: new HeaderList([...(request.headers ?? [])]),
      body: request.body,
      protocol: "HTTP/1.1",
      upgrade: request.upgrade,
    },
    get route() {
      route ??= table?.find(exchange);
      return route;
    },
    clearRoute() {
      route = undefined;
    },
    perRoute: () => undefined,
    perRouteAll: () => [],
    span: undefined,
    informed: [],
    inform: (status) => exchange.informed.push(status),
    renderReply: (reply) => renderReply(reply, exchange),
    onAbort(run) {
      aborts.add(run);
      return () => aborts.delete(run);
    },
    get isAborted() {
      return isAborted;
    },
    onEnd: (run) => ends.push(run),
    abort() {
      isAborted = true;
      for (const run of aborts) run(new Error("the client is gone"));
    },
    finish() {
      for (const run of ends.splice(0)) run();
    },
  };
  return exchange;
}

function testConnection(): DownstreamConnection {
  const address = { ip: "127.0.0.1", port: 1 };
  const known = {
    id: 1,
    localAddress: { ip: "127.0.0.1", port: 2 },
    remoteAddress: address,
    directRemoteAddress: address,
    sni: "",
    applicationProtocols: [],
    tls: undefined,
    filterState: new Map(),
    isDraining: false,
    onDrain: () => undefined,
    onClose: () => undefined,
    close: () => undefined,
  };
  // The router never touches the client's bytes nor its connection's own log.
  const connection = known as unknown as DownstreamConnection;
  return Object.assign(connection, { info: new StreamInfo(connection, 0, 0) });
}
