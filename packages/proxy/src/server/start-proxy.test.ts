import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { TypeName } from "@meltemi/protos";
import { duration, encode, fromJson, packAny, typeUrl } from "@meltemi/protos";
import { afterEach, describe, expect, it } from "vitest";
import { adsMethods } from "../xds/resource-types.ts";
import { startTestControlPlane, type TestControlPlane, type TestStream } from "../xds/test-control-plane.ts";
import { type StartProxyOptions, startProxy } from "./start-proxy.ts";
import type { RunningProxy } from "./types.ts";

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function start(json: object, options: Omit<StartProxyOptions, "bootstrap"> = {}): Promise<RunningProxy> {
  const proxy = await startProxy({ ...options, bootstrap: { json } });
  closers.push(() => proxy.close());
  return proxy;
}

async function startUpstream(text: string): Promise<number> {
  const server: Server = createServer((request, response) => response.end(`${text} ${request.url}`));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return (server.address() as AddressInfo).port;
}

const socketAddress = (port: number): object => ({ socket_address: { address: "127.0.0.1", port_value: port } });
const assignment = (name: string, port: number): object => ({
  cluster_name: name,
  endpoints: [{ lb_endpoints: [{ endpoint: { address: socketAddress(port) } }] }],
});
const staticCluster = (name: string, port: number): object => ({
  name,
  type: "STATIC",
  connect_timeout: "1s",
  load_assignment: assignment(name, port),
});
const routeTo = (cluster: string): object => ({
  name: "routes",
  virtual_hosts: [{ name: "all", domains: ["*"], routes: [{ match: { prefix: "/" }, route: { cluster } }] }],
});

function listener(name: string, routes: object, port = 0): object {
  const manager = {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    stat_prefix: name,
    ...routes,
    http_filters: [
      {
        name: "envoy.filters.http.router",
        typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
      },
    ],
  };
  return {
    name,
    address: socketAddress(port),
    filter_chains: [{ filters: [{ name: "envoy.filters.network.http_connection_manager", typed_config: manager }] }],
  };
}

const portOf = (proxy: RunningProxy, name: string): number =>
  proxy.listeners.list().find((each) => each.name === name)?.addresses[0]?.port ?? 0;
const ask = async (proxy: RunningProxy, name: string): Promise<string> =>
  await (await fetch(`http://127.0.0.1:${portOf(proxy, name)}/path`)).text();

describe("startProxy with a static bootstrap", () => {
  it("serves, tells its state, and leaves nothing behind", async () => {
    const upstream = await startUpstream("hello");
    const proxy = await start({
      admin: { address: socketAddress(0) },
      static_resources: {
        clusters: [staticCluster("echo", upstream)],
        listeners: [listener("in", { route_config: routeTo("echo") })],
      },
    });
    await proxy.live;
    expect(await ask(proxy, "in")).toBe("hello /path");
    expect(proxy.state()).toBe("LIVE");
    const ready = await fetch(`http://127.0.0.1:${proxy.adminPort}/ready`);
    expect([ready.status, (await ready.text()).trim()]).toEqual([200, "LIVE"]);
    expect(proxy.stats.gauges().get("server.state")).toBe(0);
    expect(proxy.stats.counters().get("cluster.echo.upstream_rq_200")).toBe(1);
    proxy.drain();
    expect([proxy.state(), proxy.stats.gauges().get("server.state")]).toEqual(["DRAINING", 1]);
    const port = portOf(proxy, "in");
    await proxy.close();
    await expect(fetch(`http://127.0.0.1:${port}/`)).rejects.toThrow();
  });

  it.each([
    [
      "a cluster that cannot be used",
      { clusters: [{ name: "a", type: "STATIC", lb_policy: "CLUSTER_PROVIDED" }] },
      /static_resources\.clusters\[0\]/,
    ],
    [
      "a route to a cluster that is not there",
      { listeners: [listener("in", { route_config: routeTo("none") })] },
      /static_resources\.listeners\[0\].*route_config\.virtual_hosts\[0\]\.routes\[0\]\.route: unknown cluster "none"/,
    ],
    [
      "a listener with an unknown filter",
      {
        listeners: [
          {
            name: "in",
            address: socketAddress(0),
            filter_chains: [
              {
                filters: [
                  {
                    name: "mine",
                    typed_config: {
                      "@type": "type.googleapis.com/envoy.extensions.filters.network.zookeeper_proxy.v3.ZooKeeperProxy",
                    },
                  },
                ],
              },
            ],
          },
        ],
      },
      /static_resources\.listeners\[0\]\.filter_chains\[0\]\.filters\[0\].*ZooKeeperProxy/,
    ],
  ])("refuses %s", async (_what, resources, problem) => {
    await expect(start({ static_resources: resources })).rejects.toThrow(problem);
  });

  it("refuses an address that is taken", async () => {
    const taken = await startUpstream("first");
    const resources = {
      clusters: [staticCluster("echo", taken)],
      listeners: [listener("in", { route_config: routeTo("echo") }, taken)],
    };
    await expect(start({ static_resources: resources })).rejects.toThrow(/EADDRINUSE/);
  });
});

const sources = (isDelta: boolean, port: number): object => ({
  node: { id: "me", cluster: "mine" },
  dynamic_resources: {
    ads_config: {
      api_type: isDelta ? "DELTA_GRPC" : "GRPC",
      transport_api_version: "V3",
      grpc_services: [{ envoy_grpc: { cluster_name: "xds" } }],
    },
    cds_config: { ads: {}, initial_fetch_timeout: "0s" },
    lds_config: { ads: {}, initial_fetch_timeout: "0s" },
  },
  static_resources: {
    clusters: [
      {
        ...staticCluster("xds", port),
        typed_extension_protocol_options: {
          "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            explicit_http_config: { http2_protocol_options: {} },
          },
        },
      },
    ],
  },
});

/** A control plane that says `resources` to whoever asks, once for each type, and again when told to. */
class Script {
  readonly resources = new Map<TypeName, readonly object[]>();
  readonly heard: string[] = [];
  readonly #server: TestControlPlane;
  readonly #isDelta: boolean;
  #stream: TestStream | undefined;
  #nonce = 0;

  constructor(server: TestControlPlane, isDelta: boolean) {
    this.#server = server;
    this.#isDelta = isDelta;
  }

  async run(): Promise<void> {
    for (;;) {
      const stream = await this.#server.stream();
      this.#stream = stream;
      void this.#serve(stream);
    }
  }

  send(typeName: TypeName): void {
    this.#nonce += 1;
    const nonce = String(this.#nonce);
    const wires = (this.resources.get(typeName) ?? []).map((json) => fromJson(typeName, json));
    const type_url = typeUrl(typeName);
    const anys = wires.map((wire) => packAny(typeName, wire));
    this.#stream?.send(
      this.#isDelta
        ? encode("envoy.service.discovery.v3.DeltaDiscoveryResponse", {
            ...{ nonce, type_url },
            resources: anys.map((resource, index) => ({ resource, name: nameOf(wires[index]), version: nonce })),
          })
        : encode("envoy.service.discovery.v3.DiscoveryResponse", {
            ...{ nonce, type_url, version_info: nonce, resources: anys },
          }),
    );
  }

  breakOff(): void {
    this.#stream?.end();
  }

  async #serve(stream: TestStream): Promise<void> {
    for (;;) {
      const { type_url: url = "", response_nonce: nonce = "", error_detail: error } = await stream.next();
      const answer = error === undefined ? "ACK" : `NACK ${error.message}`;
      const typeName = url.replace("type.googleapis.com/", "") as TypeName;
      this.heard.push([typeName.replace(/^.*\./, ""), ...(nonce === "" ? [] : [answer])].join(" "));
      if (nonce === "") this.send(typeName);
    }
  }
}

function nameOf(wire: object | undefined): string {
  const { name, cluster_name } = { name: undefined, cluster_name: undefined, ...wire } as Record<
    string,
    string | undefined
  >;
  return name ?? cluster_name ?? "";
}

const types = {
  cluster: "envoy.config.cluster.v3.Cluster",
  endpoints: "envoy.config.endpoint.v3.ClusterLoadAssignment",
  listener: "envoy.config.listener.v3.Listener",
  routes: "envoy.config.route.v3.RouteConfiguration",
} as const;

async function until(isTrue: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + 20_000;
  while (!(await isTrue())) {
    if (performance.now() > end) throw new Error("not within 20 s");
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe.each([
  ["state of the world", false],
  ["delta", true],
])("startProxy with a control plane, %s", (_form, isDelta) => {
  async function startScript(): Promise<Script> {
    const server = await startTestControlPlane([adsMethods.sotw, adsMethods.delta]);
    closers.push(server.stop);
    const script = new Script(server, isDelta);
    void script.run();
    const eds = { eds_config: { ads: {}, initial_fetch_timeout: "0s" } };
    script.resources.set(types.cluster, [
      { name: "echo", type: "EDS", connect_timeout: "1s", eds_cluster_config: eds },
    ]);
    const rds = { rds: { route_config_name: "routes", config_source: { ads: {}, initial_fetch_timeout: "0s" } } };
    script.resources.set(types.listener, [listener("in", rds)]);
    script.resources.set(types.routes, [routeTo("echo")]);
    closers.push(() => undefined);
    return Object.assign(script, { port: server.port });
  }

  it("asks in order, serves, refuses by name, and keeps the last good configuration", async () => {
    const [one, two] = [await startUpstream("one"), await startUpstream("two")];
    const script = (await startScript()) as Script & { readonly port: number };
    script.resources.set(types.endpoints, [assignment("echo", one)]);
    const proxy = await start(sources(isDelta, script.port), { random: () => 0 });
    await proxy.live;
    expect(script.heard.filter((line) => !line.includes(" "))).toEqual([
      "Cluster",
      "ClusterLoadAssignment",
      "Listener",
      "RouteConfiguration",
    ]);
    expect(await ask(proxy, "in")).toBe("one /path");

    script.resources.set(types.endpoints, [assignment("echo", two)]);
    script.send(types.endpoints);
    await until(async () => (await ask(proxy, "in")) === "two /path");

    const bad = { name: "bad", type: "EDS", connect_timeout: "1s", lb_policy: "CLUSTER_PROVIDED" };
    const good = { ...staticCluster("good", one), connect_timeout: duration(1) };
    script.resources.set(types.cluster, [
      ...(script.resources.get(types.cluster) ?? []),
      bad,
      { ...good, connect_timeout: "1s" },
    ]);
    script.send(types.cluster);
    await until(() => script.heard.some((line) => line.includes("NACK")));
    expect(script.heard.find((line) => line.includes("NACK"))).toMatch(/^Cluster NACK Cluster bad: /);
    expect(proxy.stats.counters().get("cluster_manager.cds.update_rejected")).toBe(1);
    await until(() => proxy.clusters.find("good") !== undefined);
    expect(await ask(proxy, "in")).toBe("two /path");

    script.resources.set(types.cluster, [{ ...good, connect_timeout: "1s" }]);
    script.resources.delete(types.listener);
    const before = script.heard.length;
    script.breakOff();
    expect(await ask(proxy, "in")).toBe("two /path");
    await until(() => script.heard.slice(before).includes("RouteConfiguration") || isDelta);
  });
});
