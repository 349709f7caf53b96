import { createServer as createHttpServer } from "node:http";
import { createServer } from "node:net";
import { packAny, struct } from "@meltemi/protos";
import type { RouteConfiguration, Route as RouteWire } from "@meltemi/protos/envoy/config/route/v3";
import type {
  HttpConnectionManager,
  HttpFilter,
} from "@meltemi/protos/envoy/extensions/filters/network/http_connection_manager/v3";
import { afterEach, describe, expect, it } from "vitest";
import { createAccessLogFactory } from "../access-log/factory.ts";
import type { AccessLogger } from "../access-log/types.ts";
import type { HttpFilterEnv, RouteTableSlot } from "../config/env.ts";
import { compileFilterConfig } from "../filters/registry.ts";
import { createTestEnv } from "../filters/test-exchange.ts";
import { Closers } from "../lib/closers.ts";
import { createStatsRegistry } from "../lib/create-stats.ts";
import { noteAcceptedSocket } from "../listeners/accepted-socket.ts";
import { Connection } from "../listeners/downstream-connection.ts";
import { compileRouteTable } from "../router/compile-routes.ts";
import { createTestCluster } from "../router/testing/test-cluster.ts";
import type { RouteTable } from "../router/types.ts";
import { httpConnectionManagerFactory } from "./connection-manager.ts";
import { openSocket, readAll } from "./test-server.ts";

const closers: Closers[] = [];
afterEach(async () => {
  for (const each of closers.splice(0)) await each.close();
});

const router: HttpFilter = {
  name: "envoy.filters.http.router",
  typed_config: packAny("envoy.extensions.filters.http.router.v3.Router", {}),
};
const fault = (status: number, more: Partial<HttpFilter> = {}): HttpFilter => ({
  name: "my-fault",
  typed_config: packAny("envoy.extensions.filters.http.fault.v3.HTTPFault", {
    abort: { http_status: status, percentage: { numerator: 100, denominator: "HUNDRED" } },
  }),
  ...more,
});
const off = packAny("envoy.config.route.v3.FilterConfig", { disabled: true });

const routes: RouteConfiguration = {
  name: "r",
  virtual_hosts: [
    {
      name: "v",
      domains: ["*"],
      routes: [
        {
          match: { prefix: "/off" },
          direct_response: { status: 200, body: { inline_string: "off" } },
          typed_per_filter_config: { "my-fault": off },
        },
        { match: { prefix: "/" }, direct_response: { status: 200, body: { inline_string: "direct" } } },
      ],
    },
  ],
};

function createEnv(): HttpFilterEnv & {
  readonly updates: ((type: string, message: Record<string, unknown>) => void)[];
} {
  const stats = createStatsRegistry();
  const updates: ((type: string, message: Record<string, unknown>) => void)[] = [];
  const env = createTestEnv(stats);
  const { clock, log, runtime, random, clusters } = env;
  return {
    ...env,
    updates,
    accessLogs: createAccessLogFactory({ clock, log, stats, runtime, random, clusters }),
    compileRoutes: (config) => compileTable(config, env),
    extensions: {
      open(_name, onUpdate) {
        updates.push(onUpdate);
        return { ready: Promise.resolve(), close: () => undefined };
      },
    },
  };
}

function compileTable(config: RouteConfiguration, env: HttpFilterEnv): RouteTable {
  return compileRouteTable(config, {
    ...env,
    compileFilterConfig: (name, any, isOptional) => compileFilterConfig(name, any, isOptional, env),
  });
}

async function serve(
  wire: HttpConnectionManager,
  env: HttpFilterEnv = createEnv(),
): Promise<(path: string) => Promise<string>> {
  const filter = httpConnectionManagerFactory.compile({ stat_prefix: "test", route_config: routes, ...wire }, env);
  await filter.ready;
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    filter.serve?.(new Connection(1, noteAcceptedSocket(socket, { ip: "127.0.0.1", port: 0 }), env.clock));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const own = new Closers();
  own.push(() => new Promise((resolve) => server.close(resolve)));
  own.push(() => filter.close?.());
  closers.push(own);
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return async (path) => {
    const socket = await openSocket(port);
    const answer = readAll(socket);
    socket.write(`GET ${path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n`);
    const { text } = await answer;
    socket.destroy();
    return `${text.slice(9, 12)} ${text.slice(text.indexOf("\r\n\r\n") + 4)}`;
  };
}

/** An upstream at which "/first" is somewhere else, and all else says its path and what it was told. */
async function startUpstream(): Promise<number> {
  const server = createHttpServer((request, response) => {
    const { url = "", headers } = request;
    if (url === "/first") response.writeHead(302, { location: "http://b/second" }).end();
    else response.end(`${url} ${headers["x-envoy-original-url"]} ${headers["x-passed"]} ${headers["x-route"]}`);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const own = new Closers();
  own.push(() => new Promise((resolve) => server.close(resolve)));
  closers.push(own);
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

describe("a redirect that the proxy follows itself", () => {
  it("leads the request through all filters again, as one of its own", async () => {
    const env = createEnv();
    const cluster = createTestCluster("c", [await startUpstream()]);
    const entries: (readonly unknown[])[] = [];
    const log: AccessLogger = {
      log: ({ info }) =>
        entries.push([info.routeName, info.responseCode, info.responseCodeDetails, info.attempts, info.requestId]),
      close: () => undefined,
    };
    const routeTo = (path: string): RouteWire => ({
      name: path,
      match: { path },
      request_headers_to_add: [{ header: { key: "x-route", value: path } }],
      route: { cluster: "c", internal_redirect_policy: {} },
    });
    const config: RouteConfiguration = {
      virtual_hosts: [{ name: "v", domains: ["*"], routes: [routeTo("/first"), routeTo("/second")] }],
    };
    const clusters = { find: () => cluster, list: () => [cluster] };
    const passed: HttpFilter = {
      name: "passed",
      typed_config: packAny("envoy.extensions.filters.http.header_mutation.v3.HeaderMutation", {
        mutations: {
          request_mutations: [{ append: { header: { key: "x-passed", value: "yes" } } }],
        },
      }),
    };
    const whole = { ...env, clusters, accessLogs: { ...env.accessLogs, compile: () => log } };
    const ask = await serve(
      {
        http_filters: [passed, router],
        route_config: config,
        access_log: [{ name: "test" }],
      },
      { ...whole, compileRoutes: (table) => compileTable(table, whole) },
    );
    expect(await ask("/first")).toContain("/second http://a/first yes, yes /first, /second");
    await expect.poll(() => entries.length).toBe(2);
    const [first, second] = entries;
    // As a real Envoy 1.40 logs them.
    expect(first?.slice(0, 4)).toEqual(["/second", 302, "internal_redirect", 1]);
    expect(second?.slice(0, 4)).toEqual(["/second", 200, "via_upstream", 1]);
    expect(second?.[4]).toBe(first?.[4]);
    expect(env.stats.counter("http.test.downstream_rq_total").value).toBe(2);
    cluster.close();
  });
});

describe("the connection manager", () => {
  it("takes requests through its filters to the router", async () => {
    const ask = await serve({ http_filters: [router] });
    expect(await ask("/")).toBe("200 direct");
  });

  it("lets routes switch filters off, by the name in the chain", async () => {
    const ask = await serve({ http_filters: [fault(418), router] });
    expect(await ask("/")).toBe("418 fault filter abort");
    expect(await ask("/off")).toBe("200 off");
  });

  it("leaves out filters that are off unless a route says otherwise", async () => {
    const ask = await serve({ http_filters: [fault(418, { disabled: true }), router] });
    expect(await ask("/")).toBe("200 direct");
  });

  it("passes over optional filters that it does not know", async () => {
    const typed_config = packAny("xds.type.v3.TypedStruct", {
      type_url: "type.googleapis.com/no.such.Filter",
      value: struct({}),
    });
    const unknown = { name: "unknown", typed_config };
    const ask = await serve({ http_filters: [{ ...unknown, is_optional: true }, router] });
    expect(await ask("/")).toBe("200 direct");
    await expect(serve({ http_filters: [unknown, router] })).rejects.toThrow("http_filters[0].typed_config");
  });

  it("takes the configuration of filters that comes by itself, and answers 500 before", async () => {
    const env = createEnv();
    const discovered: HttpFilter = {
      name: "my-fault",
      config_discovery: { type_urls: ["type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault"] },
    };
    const ask = await serve({ http_filters: [discovered, router] }, env);
    expect(await ask("/")).toBe("500 ");
    const [update] = env.updates;
    const abort = { http_status: 429, percentage: { numerator: 100, denominator: "HUNDRED" } };
    update?.("envoy.extensions.filters.http.fault.v3.HTTPFault", { abort });
    expect(await ask("/")).toBe("429 fault filter abort");
    update?.("envoy.extensions.filters.http.fault.v3.HTTPFault", {});
    expect(await ask("/")).toBe("200 direct");
    expect(() => update?.("envoy.extensions.filters.http.cors.v3.Cors", {})).toThrow("type_urls");
  });

  it("waits for its route table, and follows its changes", async () => {
    const env = createEnv();
    let current: RouteTable | undefined;
    let come: () => void = () => undefined;
    const ready = new Promise<void>((resolve) => {
      come = resolve;
    });
    const slot: RouteTableSlot = {
      get current() {
        return current;
      },
      ready,
      close: () => undefined,
    };
    const opened: string[] = [];
    const serving = serve(
      { http_filters: [router], rds: { route_config_name: "mine" }, route_config: undefined },
      {
        ...env,
        routes: {
          open(name) {
            opened.push(name);
            return slot;
          },
        },
      },
    );
    come();
    const ask = await serving;
    expect(opened).toEqual(["mine"]);
    expect(await ask("/")).toBe("404 ");
    current = compileTable(routes, env);
    expect(await ask("/")).toBe("200 direct");
  });

  it.each([
    ["without filters", { http_filters: [] }, "a router filter is required"],
    ["that does not end with a router", { http_filters: [fault(400)] }, "is the last filter"],
    ["with a router in the middle", { http_filters: [router, fault(400)] }, "must be the last filter"],
    ["without routes", { http_filters: [router], route_config: undefined }, "one of rds, route_config"],
    ["with an unknown extension", { http_filters: [router], proxy_status_config: {} }, "proxy_status_config"],
  ] as readonly [string, HttpConnectionManager, string][])("refuses one %s", async (_, wire, message) => {
    await expect(serve(wire)).rejects.toThrow(message);
  });
});
