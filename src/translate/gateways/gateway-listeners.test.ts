import { decode, encode, findUnknownKeys, toJson } from "@meltemi/protos";
import { describe, expect, it } from "vitest";
import { applyObjects, createTestMesh } from "../../../test/support/mesh-objects.ts";
import {
  destinationRule,
  gateway,
  httpTo,
  kubePort,
  kubeService,
  reviews,
  rules,
  server,
} from "../../../test/support/sample-objects.ts";
import {
  type GatewayViewOptions,
  gatewayViewOf,
  listenerKeyOf,
  viewOfSnapshot,
} from "../../../test/support/scope-views.ts";
import type { Server } from "../../api/gateway/schema.ts";
import type { MeshObject } from "../../api/kinds.ts";
import { defaultMeshConfig } from "../../api/mesh-config/defaults.ts";
import { buildGatewayListeners, listGatewayMessages } from "./gateway-listeners.ts";

const wireType = "envoy.config.listener.v3.Listener";
type Shown = { readonly [field: string]: unknown };
const simple = { tls: { mode: "SIMPLE", credentialName: "cert" } } as const;
const passthrough = { tls: { mode: "PASSTHROUGH" } } as const;
const db = kubeService("db", { clusterIP: "10.96.5.5", ports: [kubePort("tcp", 5432)] });
const toDb = [{ destination: { host: "db.bookinfo.svc.cluster.local" } }];
const dbCluster = "outbound|5432||db.bookinfo.svc.cluster.local";

function listenersOf(objects: readonly MeshObject[], options?: GatewayViewOptions): readonly Shown[] {
  const view = gatewayViewOf([reviews, db, ...objects], options);
  return buildGatewayListeners(view, listenerKeyOf(view)).map(({ name, message }) => {
    expect(message.name).toBe(name);
    expect(findUnknownKeys(wireType, message)).toEqual([]);
    const json = toJson(wireType, message);
    expect(toJson(wireType, decode(wireType, encode(wireType, message)))).toEqual(json);
    return json as Shown;
  });
}

const chainsOf = (listener: Shown | undefined) => (listener?.["filter_chains"] ?? []) as readonly Shown[];
const filtersOf = (chain: Shown | undefined) => (chain?.["filters"] ?? []) as readonly Shown[];
const namesOf = (filters: unknown): readonly unknown[] => (filters as readonly Shown[]).map((filter) => filter["name"]);
const configOf = (filter: Shown | undefined): Shown => (filter?.["typed_config"] ?? {}) as Shown;
const managerOf = (chain: Shown | undefined): Shown => configOf(filtersOf(chain)[0]);
const matchesOf = (listener: Shown | undefined): unknown =>
  chainsOf(listener).map((chain) => chain["filter_chain_match"]);

describe("plain HTTP", () => {
  const objects = [gateway("gw", [server("HTTP 80 a", ["a.com"]), server("GRPC-WEB 80 b", ["b.com"])])];

  it("is one chain for all servers of the port, with the connection manager of the edge", () => {
    const [listener, ...others] = listenersOf(objects);
    expect(others).toEqual([]);
    expect(listener).toMatchObject({
      name: "0.0.0.0_80",
      address: { socket_address: { address: "0.0.0.0", port_value: 80 } },
      traffic_direction: "OUTBOUND",
      max_connections_to_accept_per_socket_event: 1,
    });
    expect(listener?.["listener_filters"]).toBeUndefined();
    expect(matchesOf(listener)).toEqual([undefined]);
    expect(chainsOf(listener)[0]?.["transport_socket_connect_timeout"]).toBe("15s");
    expect(managerOf(chainsOf(listener)[0])).toMatchObject({
      stat_prefix: "outbound_0.0.0.0_80;",
      rds: { route_config_name: "http.80" },
      use_remote_address: true,
      server_name: "istio-envoy",
      http_protocol_options: {},
      forward_client_cert_details: "SANITIZE_SET",
      set_current_client_cert_details: { subject: true, cert: true, dns: true, uri: true },
    });
  });

  it("believes what the mesh says of proxies before the gateway", () => {
    const mesh = {
      defaultConfig: {
        ...defaultMeshConfig.defaultConfig,
        gatewayTopology: { numTrustedProxies: 2, forwardClientCertDetails: "FORWARD_ONLY", proxyProtocol: {} },
      },
    } as const;
    const [listener] = listenersOf(objects, { mesh });
    const manager = managerOf(chainsOf(listener)[0]);
    expect(manager).toMatchObject({ xff_num_trusted_hops: 2 });
    expect(manager["forward_client_cert_details"]).toBe("FORWARD_ONLY");
    expect(manager["set_current_client_cert_details"]).toBeUndefined();
    expect(namesOf(listener?.["listener_filters"])).toEqual(["envoy.filters.listener.proxy_protocol"]);
  });

  it("keeps options of HTTP/1 that the proxy asks for", () => {
    const capabilities = { istioVersion: undefined, extensions: undefined, acceptHttp10: true };
    const [listener] = listenersOf(objects, { key: { capabilities } });
    expect(managerOf(chainsOf(listener)[0])["http_protocol_options"]).toEqual({ accept_http_10: true });
  });

  it("waits on no port that the proxy may not bind, and says so", () => {
    const view = gatewayViewOf(objects, { key: { privileged: false } });
    expect(buildGatewayListeners(view, listenerKeyOf(view))).toEqual([]);
    expect(listGatewayMessages(view).map(({ code, path }) => [code, path])).toEqual([
      ["gateway-privileged-port", "spec.servers[0].port.number"],
      ["gateway-privileged-port", "spec.servers[1].port.number"],
    ]);
  });
});

describe("TLS", () => {
  it("has a chain for each HTTPS server, by its sorted hosts, with its own routes and certificate", () => {
    const [listener] = listenersOf([
      gateway("gw", [
        server("HTTPS 443 a", ["ns/b.com", "a.com"], { ...simple, name: "front" }),
        server("HTTPS 443 b", ["*"], simple),
      ]),
    ]);
    expect(namesOf(listener?.["listener_filters"])).toEqual(["envoy.filters.listener.tls_inspector"]);
    expect(matchesOf(listener)).toEqual([{ server_names: ["a.com", "b.com"] }, undefined]);
    const [first, second] = chainsOf(listener);
    expect(managerOf(first)).toMatchObject({
      stat_prefix: "front",
      rds: { route_config_name: "https.443.a.gw.istio-system" },
    });
    expect(managerOf(second)).toMatchObject({ stat_prefix: "outbound_0.0.0.0_443;" });
    for (const chain of [first, second]) {
      expect(chain?.["transport_socket"]).toMatchObject({
        name: "envoy.transport_sockets.tls",
        typed_config: {
          common_tls_context: {
            alpn_protocols: ["h2", "http/1.1"],
            tls_certificate_sds_secret_configs: [{ name: "kubernetes://cert" }],
          },
        },
      });
    }
  });

  it("takes curves of the server before those of the mesh", () => {
    const curves = (own: readonly string[] | undefined): unknown => {
      const tls = { ...simple.tls, ...(own === undefined ? {} : { ecdhCurves: [...own] }) };
      const objects = [gateway("gw", [server("HTTPS 443 a", ["*"], { tls })])];
      const [listener] = listenersOf(objects, { mesh: { tlsDefaults: { ecdhCurves: ["P-256"] } } });
      const context = configOf(chainsOf(listener)[0]?.["transport_socket"] as Shown)["common_tls_context"] as Shown;
      return context["tls_params"];
    };
    expect(curves(["X25519"])).toEqual({ ecdh_curves: ["X25519"] });
    expect(curves(undefined)).toEqual({ ecdh_curves: ["P-256"] });
  });

  it("never becomes plain text for a proxy that cannot do it", () => {
    const extensions = new Set(["envoy.filters.listener.tls_inspector", "envoy.filters.network.tcp_proxy"]);
    const capabilities = { istioVersion: undefined, extensions, acceptHttp10: false };
    const servers = [server("HTTPS 443 a", ["a.com"], simple), server("TLS 443 b", ["b.com"], passthrough)];
    const tls = [{ match: [{ sniHosts: ["b.com"] }], route: toDb }];
    const [listener] = listenersOf([gateway("gw", servers), rules("vs", ["b.com"], { tls })], {
      key: { capabilities },
    });
    expect(matchesOf(listener)).toEqual([{ server_names: ["b.com"] }]);
  });
});

describe("TCP", () => {
  const tcp = (port?: number) => [{ ...(port === undefined ? {} : { match: [{ port }] }), route: toDb }];

  it("goes where the first virtual service with a rule for the port says", () => {
    const [listener] = listenersOf([
      gateway("gw", [server("MONGO 2379 db", ["*"])]),
      rules("1", ["a.com"], { tcp: tcp(1) }),
      rules("2", ["a.com"], { tcp: tcp(2379) }),
    ]);
    expect(matchesOf(listener)).toEqual([undefined]);
    expect(filtersOf(chainsOf(listener)[0]).map((filter) => [filter["name"], configOf(filter)["stat_prefix"]])).toEqual(
      [
        ["envoy.filters.network.mongo_proxy", dbCluster],
        ["envoy.filters.network.tcp_proxy", dbCluster],
      ],
    );
  });

  it("has no listener without a rule, nor with rules for other hosts", () => {
    const servers = [server("TCP 2379 db", ["ns/*", "b.com"])];
    expect(listenersOf([gateway("gw", servers), rules("vs", ["a.com"], { tcp: tcp() })])).toEqual([]);
  });

  it("behind TLS is told by server name; only proxies of the mesh exchange metadata", () => {
    const [listener] = listenersOf([
      gateway("gw", [
        server("TLS 9443 a", ["a.com"], { tls: { mode: "ISTIO_MUTUAL" } }),
        server("TLS 9443 b", ["b.com"], simple),
      ]),
      rules("vs", ["*"], { tcp: tcp() }),
    ]);
    expect(matchesOf(listener)).toEqual([{ server_names: ["a.com"] }, { server_names: ["b.com"] }]);
    expect(chainsOf(listener).map((chain) => namesOf(chain["filters"]))).toEqual([
      ["istio.metadata_exchange", "envoy.filters.network.tcp_proxy"],
      ["envoy.filters.network.tcp_proxy"],
    ]);
  });
});

describe("PASSTHROUGH", () => {
  const tls = (...names: string[]) => [{ match: [{ sniHosts: names }], route: toDb }];

  it("has a chain for each match; server names that are taken are left out and reported", () => {
    const view = gatewayViewOf([
      db,
      gateway("gw", [
        server("HTTPS 443 a", ["a.b.com", "*-z.b.com"], simple),
        server("TLS 443 p", ["*.b.com"], passthrough),
      ]),
      rules("1", ["*.b.com"], { tls: [...tls("x.b.com", "x.b.com"), ...tls("y.b.com", "x.b.com")] }),
      rules("2", ["*.b.com"], { tls: [...tls("a.b.com"), ...tls("y.b.com")] }),
      rules("3", ["c.com"], { tls: tls("c.com") }),
    ]);
    const [built] = buildGatewayListeners(view, listenerKeyOf(view));
    expect(built?.message.filter_chains?.map((chain) => chain.filter_chain_match?.server_names)).toEqual([
      ["a.b.com"],
      ["x.b.com"],
      ["y.b.com"],
    ]);
    expect(built?.sources.map(({ kind, name }) => `${kind} ${name}`)).toEqual([
      "Gateway gw",
      "VirtualService 1",
      "VirtualService 2",
    ]);
    expect(listGatewayMessages(view).map(({ object, path }) => [object.name, path])).toEqual([
      ["1", "spec.tls[1].match[0].sniHosts"],
      ["2", "spec.tls[0].match[0].sniHosts"],
    ]);
  });
});

describe("AUTO_PASSTHROUGH", () => {
  const auto = (...hosts: string[]): Server => server("TLS 15443 auto", hosts, { tls: { mode: "AUTO_PASSTHROUGH" } });
  const external: MeshObject = {
    kind: "ServiceEntry",
    apiVersion: "networking.istio.io/v1",
    meta: { name: "out", namespace: "bookinfo", labels: {}, annotations: {} },
    spec: { hosts: ["out.local"], ports: [{ number: 80, name: "http", protocol: "HTTP" }], resolution: "DNS" },
  };

  it("has a chain for each port and subset of the mesh's services within its hosts", () => {
    const subsets = destinationRule("db", {
      host: "db.bookinfo.svc.cluster.local",
      subsets: [{ name: "v1" }],
      trafficPolicy: { tunnel: { targetHost: "x.com", targetPort: 443 } },
    });
    const [listener] = listenersOf([
      gateway("gw", [auto("*.local", "db.bookinfo.svc.cluster.local")]),
      subsets,
      external,
    ]);
    const names = [
      "outbound_.5432_._.db.bookinfo.svc.cluster.local",
      "outbound_.5432_.v1_.db.bookinfo.svc.cluster.local",
      "outbound_.9080_._.reviews.bookinfo.svc.cluster.local",
    ];
    expect(matchesOf(listener)).toEqual(
      names.map((name) => ({
        server_names: [name],
        application_protocols: ["istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2"],
      })),
    );
    expect(chainsOf(listener).map((chain) => filtersOf(chain).map(configOf))).toEqual(
      names.map((name) => [expect.objectContaining({ cluster: name, stat_prefix: name })]),
    );
    expect(
      chainsOf(listener)
        .flatMap(filtersOf)
        .map(configOf)
        .filter((config) => "tunneling_config" in config),
    ).toEqual([]);
  });

  it("has no chain for other services", () => {
    const view = gatewayViewOf([db, reviews, gateway("gw", [auto("ns/db.bookinfo.svc.cluster.local", "a.com")])]);
    const [built] = buildGatewayListeners(view, listenerKeyOf(view));
    expect(built?.message.filter_chains).toHaveLength(1);
  });
});

it("gives the very same listeners again after a change that is none of theirs", () => {
  const mesh = createTestMesh();
  const build = (snapshot: ReturnType<typeof applyObjects>) => {
    const view = viewOfSnapshot(snapshot);
    return buildGatewayListeners(view, listenerKeyOf(view));
  };
  const servers = [server("HTTP 80 a", ["a.com"]), server("TLS 443 p", ["*"], passthrough)];
  const tls = (name: string) => rules("vs", ["*"], { tls: [{ match: [{ sniHosts: [name] }], route: toDb }] });
  const first = build(applyObjects(mesh, reviews, db, gateway("gw", servers), tls("x.com")));
  expect(first.map(({ name }) => name)).toEqual(["0.0.0.0_443", "0.0.0.0_80"]);
  const second = build(applyObjects(mesh, rules("http", ["a.com"], { http: [httpTo(undefined)] })));
  expect(second).toHaveLength(2);
  for (const [index, listener] of second.entries()) expect(listener).toBe(first[index]);
  const third = build(applyObjects(mesh, tls("y.com")));
  expect(third[1]).toBe(first[1]);
  expect(third[0]).not.toBe(first[0]);
});
