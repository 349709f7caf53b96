/** A router filter before servers on the loopback address, for its tests. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { RouteAction, RouteConfiguration, Route as RouteWire } from "@meltemi/protos/envoy/config/route/v3";
import type { Router } from "@meltemi/protos/envoy/extensions/filters/http/router/v3";
import type { HttpFilterEnv } from "../../config/env.ts";
import { collect } from "../../http/body.ts";
import { type HttpFilter, LocalReplyError } from "../../http/exchange.ts";
import type { HttpResponse } from "../../http/message.ts";
import { systemClock } from "../../lib/clock.ts";
import { createStatsRegistry } from "../../lib/create-stats.ts";
import type { ClusterManager } from "../../upstream/types.ts";
import { compileRouteTable } from "../compile-routes.ts";
import { routerFactory } from "../router-filter.ts";
import { createTestCluster, type TestCluster } from "./test-cluster.ts";
import { createTestExchange, type TestExchange, type TestRequest, testRouteEnv, testRuntime } from "./test-exchange.ts";

/** What the rigs of the test that runs have started; a test may add to it. */
export const closers: (() => void)[] = [];

/** Ends what the rigs of a test have started. */
export function closeRigs(): void {
  for (const close of closers.splice(0)) close();
}

export type Handler = (request: IncomingMessage, response: ServerResponse, count: number) => void;

export async function startServer(handler: Handler): Promise<number> {
  let count = 0;
  const server = createServer((request, response) => {
    count += 1;
    handler(request, response, count);
  });
  server.listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  closers.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

export interface Rig {
  readonly clusters: ReadonlyMap<string, TestCluster>;
  readonly cluster: TestCluster;
  readonly stats: ReturnType<typeof createStatsRegistry>;
  readonly filter: HttpFilter;
  ask(request: TestRequest, change?: (exchange: TestExchange) => void): Promise<Answer>;
}

export interface Answer {
  readonly status: number;
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly flags: readonly string[];
  readonly details: string;
  readonly exchange: TestExchange;
}

/** A router before the given clusters, the first of which is "c". */
export function startRig(
  ports: Readonly<Record<string, readonly number[]>>,
  routes: RouteAction | RouteWire | RouteConfiguration,
  router: Router = {},
): Rig {
  const clusters = new Map(Object.entries(ports).map(([name, list]) => [name, createTestCluster(name, list)]));
  const manager: ClusterManager = { find: (name) => clusters.get(name), list: () => [...clusters.values()] };
  const stats = createStatsRegistry();
  const random = (): number => 0.5;
  const table = compileRouteTable(asTable(routes), testRouteEnv({ clusters: manager, stats, random }));
  const env = { clusters: manager, clock: systemClock, random, runtime: testRuntime, httpStats: stats, node: {} };
  // All that the router takes of it.
  const filter = routerFactory.compile(router, env as unknown as HttpFilterEnv);
  closers.push(() => {
    filter.close?.();
    for (const cluster of clusters.values()) cluster.close();
  });
  const [cluster] = clusters.values();
  if (cluster === undefined) throw new Error("a rig needs a cluster");
  return {
    clusters,
    cluster,
    stats,
    filter,
    async ask(request, change) {
      const exchange = createTestExchange(request, table);
      change?.(exchange);
      const pending = filter.handle(exchange, () => Promise.reject(new Error("the router is the last")));
      return await readAnswer(pending, exchange);
    },
  };
}

function asTable(routes: RouteAction | RouteWire | RouteConfiguration): RouteConfiguration {
  if ("virtual_hosts" in routes) return routes;
  const isRoute = ["match", "redirect", "direct_response", "route", "non_forwarding_action"].some(
    (key) => key in routes,
  );
  const route = isRoute ? routes : { route: { cluster: "c", ...routes } };
  return { virtual_hosts: [{ name: "v", domains: ["*"], routes: [{ match: { prefix: "/" }, ...route }] }] };
}

async function readAnswer(pending: Promise<HttpResponse>, exchange: TestExchange): Promise<Answer> {
  try {
    const { status, headers, body } = await pending;
    const bytes = body ? (await collect(body, 1_000_000)).bytes : new Uint8Array();
    return {
      ...{ status, body: Buffer.from(bytes).toString(), headers: Object.fromEntries(headers), exchange },
      flags: [...exchange.info.responseFlags],
      details: exchange.info.responseCodeDetails,
    };
  } catch (cause: unknown) {
    if (!(cause instanceof LocalReplyError)) throw cause;
    const { status, body = "", headers, flags = [], details } = cause.reply;
    return { ...{ status, body, flags, details, exchange }, headers: Object.fromEntries(headers ?? []) };
  }
}
