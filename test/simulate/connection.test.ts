import { packAny, struct } from "@meltemi/protos";
import type { Cluster } from "@meltemi/protos/envoy/config/cluster/v3";
import type { FilterChain } from "@meltemi/protos/envoy/config/listener/v3";
import type { DownstreamTlsContext } from "@meltemi/protos/envoy/extensions/transport_sockets/tls/v3";
import { describe, expect, it, test } from "vitest";
import type { Call } from "./call.ts";
import { explainDifference } from "./expectation.ts";
import { readGoldenCalls } from "./golden-calls.ts";
import { createProxyResources } from "./resources.ts";
import { simulate } from "./simulate.ts";

const tcp = (cluster: string): NonNullable<FilterChain["filters"]> => [
  {
    name: "envoy.filters.network.tcp_proxy",
    typed_config: packAny("envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", { cluster }),
  },
];
const http: NonNullable<FilterChain["filters"]> = [
  {
    name: "envoy.filters.network.http_connection_manager",
    typed_config: packAny("envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", {
      rds: { route_config_name: "web" },
    }),
  },
];
const secured = (context: DownstreamTlsContext): Pick<FilterChain, "transport_socket"> => ({
  transport_socket: {
    name: "tls",
    typed_config: packAny("envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext", context),
  },
});

const run = (
  chain: FilterChain,
  call: Partial<Call>,
  clusters: readonly Cluster[] = [{ name: "a", type: "ORIGINAL_DST" }],
) =>
  simulate(
    createProxyResources({
      clusters,
      listeners: [
        { name: "l", address: { socket_address: { address: "0.0.0.0", port_value: 1 } }, filter_chains: [chain] },
      ],
    }),
    { to: "10.0.0.1:1", ...call },
  );

test.each<readonly [string, FilterChain, Partial<Call>, Record<string, unknown>]>([
  ["bytes to a TCP proxy", { filters: tcp("a") }, {}, { result: "tcp", tls: "none", cluster: "a" }],
  ["TLS to a TCP proxy", { filters: tcp("a") }, { tls: {} }, { result: "tcp", tls: "passthrough" }],
  [
    "TLS that ends",
    { filters: tcp("a"), ...secured({}) },
    { tls: {} },
    { tls: "terminated", clientCertificate: "ignored" },
  ],
  ["bytes where TLS is due", { filters: tcp("a"), ...secured({}) }, {}, { reason: "plain text where TLS is needed" }],
  [
    "no certificate where one is due",
    { filters: tcp("a"), ...secured({ require_client_certificate: { value: true } }) },
    { tls: {} },
    { result: "closed", reason: "no client certificate" },
  ],
  [
    "a certificate where one is asked for",
    { filters: tcp("a"), ...secured({ common_tls_context: { validation_context: {} } }) },
    { tls: { certificate: true } },
    { result: "tcp", clientCertificate: "requested" },
  ],
  [
    "TLS to a connection manager",
    { filters: http },
    { tls: {}, path: "/" },
    { reason: "TLS where plain text is needed" },
  ],
  ["bytes to a connection manager", { filters: http }, {}, { reason: "not HTTP" }],
  ["routes that are not there", { filters: http }, { path: "/" }, { result: "answer", status: 404, routes: "web" }],
  ["a chain without filters", {}, {}, { result: "closed", reason: "no filters" }],
  ["a cluster that is not there", { filters: tcp("b") }, {}, { result: "tcp", cluster: "b", flags: "NC" }],
])("%s", (_, chain, call, expected) => {
  expect(run(chain, call).outcome).toMatchObject(expected);
});

describe("clusters", () => {
  const tls = (hasCertificate: boolean, sni: string) => ({
    name: "tls",
    typed_config: packAny("envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", {
      sni,
      common_tls_context: hasCertificate ? { tls_certificate_sds_secret_configs: [{ name: "default" }] } : {},
    }),
  });
  const endpoint = (address: string, labels: Record<string, string> = {}) => ({
    endpoint: { address: { socket_address: { address, port_value: 80 } } },
    metadata: { filter_metadata: { "envoy.transport_socket_match": struct(labels) } },
  });
  const mixed: Cluster = {
    name: "a",
    type: "STATIC",
    transport_socket_matches: [
      { name: "tlsMode-istio", match: struct({ tlsMode: "istio" }), transport_socket: tls(true, "a.mesh") },
      { name: "tlsMode-disabled", match: {} },
    ],
    load_assignment: {
      cluster_name: "a",
      endpoints: [
        { lb_endpoints: [endpoint("10.0.0.2", { tlsMode: "istio" })] },
        { priority: 1, lb_endpoints: [endpoint("fd00::2")] },
      ],
    },
  };

  it("says how each endpoint is spoken to", () => {
    expect(run({ filters: tcp("a") }, {}, [mixed]).outcome).toMatchObject({
      endpoints: ["10.0.0.2:80", "[fd00::2]:80 (priority 1)"],
      upstreamTls: "plain,mtls",
      upstreamSni: "a.mesh",
    });
  });

  it("knows TLS without a certificate, and clusters without endpoints", () => {
    const cluster: Cluster = { name: "a", type: "EDS", transport_socket: tls(false, "a.example") };
    const expected = { clusterType: "EDS", endpoints: [], upstreamTls: "tls", upstreamSni: "a.example", flags: "UH" };
    expect(run({ filters: tcp("a") }, {}, [cluster]).outcome).toMatchObject(expected);
  });
});

describe("expectations", () => {
  const simulation = run({ filters: tcp("a") }, {});

  it("passes over what is not expected", () => {
    expect(explainDifference({ result: "tcp", tunnel: null }, simulation)).toBeUndefined();
  });

  it("tells differences with every stage", () => {
    const text = explainDifference({ cluster: "b", tls: null, route: "#1" }, simulation);
    expect(text).toContain('cluster: expected "b", got "a"');
    expect(text).toContain('tls: expected null, got "none"');
    expect(text).toContain('route: expected "#1", got undefined');
    expect(text).toContain("listener: l");
    expect(text).toContain('filter chain: ""');
  });

  test.each<readonly [unknown, string]>([
    [{}, "must be a list"],
    [["a"], "must be a map"],
    [[{ to: "10.0.0.1:1", port: 1, expect: { cluster: "a" } }], "unknown fields port"],
    [[{ to: 1, expect: { cluster: "a" } }], '"to" must be an address'],
    [[{ to: "10.0.0.1:1" }], '"expect" must name'],
    [[{ to: "10.0.0.1:1", expect: {} }], '"expect" must name'],
    [[{ to: "10.0.0.1:1", proxy: "b", expect: { cluster: "a" } }], "no proxy b"],
  ])("refuses %j", (calls, reason) => {
    expect(() => readGoldenCalls(calls, ["a"])).toThrow(reason);
  });
});
