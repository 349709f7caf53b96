import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { startProxy } from "../server/start-proxy.ts";

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const format = "%METADATA(ROUTE:r:k)%|%METADATA(CLUSTER:c:k)%|%UPSTREAM_REQUEST_ATTEMPT_COUNT%|%UPSTREAM_CLUSTER%";
const extension = (kind: string, config: object) => ({
  "@type": `type.googleapis.com/envoy.extensions.filters.${kind}`,
  ...config,
});
const denied = {
  action: "DENY",
  policies: { p: { permissions: [{ header: { name: "x-deny", present_match: true } }], principals: [{ any: true }] } },
};
const manager = {
  stat_prefix: "test",
  route_config: {
    validate_clusters: false,
    virtual_hosts: [
      {
        name: "v",
        domains: ["*"],
        request_headers_to_add: [{ header: { key: "x-request", value: format } }],
        response_headers_to_add: [
          { header: { key: "x-response", value: `${format}|%RESPONSE_CODE_DETAILS%|%RESPONSE_FLAGS%` } },
        ],
        routes: [
          { match: { prefix: "/none" }, route: { cluster: "none" } },
          {
            match: { prefix: "/refused" },
            route: { cluster: "refused", retry_policy: { retry_on: "connect-failure" } },
          },
          { match: { prefix: "/direct" }, direct_response: { status: 201 } },
          { match: { prefix: "/" }, route: { cluster: "up" } },
        ].map((route) => ({ ...route, metadata: { filter_metadata: { r: { k: "route" } } } })),
      },
    ],
  },
  http_filters: [
    { name: "envoy.filters.http.rbac", typed_config: extension("http.rbac.v3.RBAC", { rules: denied }) },
    { name: "envoy.filters.http.router", typed_config: extension("http.router.v3.Router", {}) },
  ],
};
const socketAddress = (port: number) => ({ socket_address: { address: "127.0.0.1", port_value: port } });
const cluster = (name: string, port: number) => ({
  name,
  type: "STATIC",
  metadata: { filter_metadata: { c: { k: "cluster" } } },
  load_assignment: {
    cluster_name: name,
    endpoints: [{ lb_endpoints: [{ endpoint: { address: socketAddress(port) } }] }],
  },
});

async function start(): Promise<string> {
  const upstream = createServer((request, response) => response.end(request.headers["x-request"]));
  await new Promise<void>((resolve) => upstream.listen(0, "127.0.0.1", resolve));
  closers.push(() => {
    upstream.closeAllConnections();
    return new Promise((resolve) => upstream.close(resolve));
  });
  const name = "envoy.filters.network.http_connection_manager";
  const typed_config = extension("network.http_connection_manager.v3.HttpConnectionManager", manager);
  const json = {
    static_resources: {
      listeners: [{ name: "l", address: socketAddress(0), filter_chains: [{ filters: [{ name, typed_config }] }] }],
      clusters: [cluster("up", (upstream.address() as AddressInfo).port), cluster("refused", 1)],
    },
  };
  const proxy = await startProxy({ bootstrap: { json } });
  closers.push(() => proxy.close());
  const [listener] = proxy.listeners.list();
  return `http://127.0.0.1:${listener?.addresses[0]?.port}`;
}

// As a real Envoy 1.40 says them.
test.each([
  ["/", {}, "route|cluster|1|up|via_upstream|-"],
  ["/", { "x-deny": "1" }, "route|cluster|0|up|rbac_access_denied_matched_policy[p]|-"],
  ["/none", {}, "route||0||cluster_not_found|NC"],
  ["/direct", {}, "route||0||direct_response|-"],
  [
    "/refused",
    {},
    "route|cluster|2|refused|upstream_reset_before_response_started{remote_connection_failure|" +
      "delayed_connect_error:_Connection_refused}|URX,UF",
  ],
])("what a route adds to answers is told of %s with %j", async (path, headers, expected) => {
  const answer = await fetch(`${await start()}${path}`, { headers: { ...headers } });
  expect(answer.headers.get("x-response")).toBe(expected);
  if (answer.status === 200) expect(await answer.text()).toBe("route|cluster|1|up");
});

test("what another filter says in the place of a route that answers itself stays as it is", async () => {
  const answer = await fetch(`${await start()}/direct`, { headers: { "x-deny": "1" } });
  expect([answer.status, answer.headers.get("x-response")]).toEqual([403, null]);
});
