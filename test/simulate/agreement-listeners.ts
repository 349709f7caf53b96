/** What the simulator and the real Envoy of the agreement test are both given. */
import { packAny } from "@meltemi/protos";
import type { Filter, FilterChainMatch, Listener } from "@meltemi/protos/envoy/config/listener/v3";
import type { HeaderMatcher, Route, RouteConfiguration } from "@meltemi/protos/envoy/config/route/v3";

const http = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";

/** A listener with the whole route table; "ignoring" does not look at ports of hosts. */
export function buildHttpListener(name: "plain" | "ignoring", port: number): Listener {
  const router = packAny("envoy.extensions.filters.http.router.v3.Router", { suppress_envoy_headers: true });
  const manager = packAny(http, {
    stat_prefix: name,
    route_config: { ...routes, ignore_port_in_host_matching: name === "ignoring" },
    http_filters: [{ name: "envoy.filters.http.router", typed_config: router }],
    normalize_path: { value: true },
  });
  return { ...at(name, port), filter_chains: [{ filters: [{ name: "http", typed_config: manager }] }] };
}

/** Chains by name; each leads to the cluster of its name. */
export const chainMatches: Readonly<Record<string, FilterChainMatch>> = {
  exact: { server_names: ["www.example.com"] },
  wild: { server_names: ["*.example.com"] },
  wilder: { server_names: ["*.com"] },
  special: { server_names: ["special.example"], application_protocols: ["special"] },
  tls: { transport_protocol: "tls" },
  peers: { transport_protocol: "tls", application_protocols: ["istio"] },
  first: { transport_protocol: "tls", application_protocols: ["first"] },
  second: { transport_protocol: "tls", application_protocols: ["second"] },
  web: { transport_protocol: "raw_buffer", application_protocols: ["http/1.1"] },
  web2: { transport_protocol: "raw_buffer", application_protocols: ["h2c"] },
  neighbour: {
    transport_protocol: "raw_buffer",
    source_prefix_ranges: [{ address_prefix: "127.0.0.2", prefix_len: { value: 32 } }],
  },
  rest: {},
};

/** A listener whose chains tell connections apart; "rest" is the default chain. */
export function buildChainListener(port: number): Listener {
  const { rest, ...own } = chainMatches;
  const inspectors = [
    ["tls_inspector", packAny("envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector", {})],
    ["http_inspector", packAny("envoy.extensions.filters.listener.http_inspector.v3.HttpInspector", {})],
  ] as const;
  return {
    ...at("chains", port),
    listener_filters: inspectors.map(([name, typed_config]) => ({ name, typed_config })),
    filter_chains: Object.entries(own).map(([name, match]) => ({
      name,
      filter_chain_match: match,
      filters: proxyTo(name),
    })),
    default_filter_chain: { name: "rest", ...(rest === undefined ? {} : { filters: proxyTo("rest") }) },
  };
}

function proxyTo(cluster: string): readonly Filter[] {
  const proxy = { stat_prefix: cluster, cluster };
  return [{ name: "tcp", typed_config: packAny("envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", proxy) }];
}

const at = (name: string, port: number): Listener => ({
  name,
  address: { socket_address: { address: "127.0.0.1", port_value: port } },
});

const answer = (body: string): Route["direct_response"] => ({ status: 418, body: { inline_string: body } });
const all = (body: string): readonly Route[] => [{ match: { prefix: "/" }, direct_response: answer(body) }];
const withHeader = (matcher: Omit<HeaderMatcher, "name">, path = "/header"): Route["match"] => ({
  path,
  headers: [{ name: "x-test", ...matcher }],
});
const withParameter = (string_match: { readonly exact?: string; readonly suffix?: string }): Route["match"] => ({
  path: "/parameter",
  query_parameters: [{ name: "q", string_match }],
});

const table: readonly Route[] = [
  { match: { path: "/exact" }, direct_response: answer("exact") },
  { match: { prefix: "/folded", case_sensitive: {} }, direct_response: answer("folded") },
  { match: { path_separated_prefix: "/whole" }, direct_response: answer("whole") },
  { match: { safe_regex: { regex: "/v[0-9]+" } }, direct_response: answer("version") },
  { match: { prefix: "/old" }, redirect: { host_redirect: "new.example", response_code: "PERMANENT_REDIRECT" } },
  { match: { prefix: "/redirect/" }, redirect: { port_redirect: 81, response_code: "FOUND" } },
  { match: { path: "/redirect-path" }, redirect: { path_redirect: "/new" } },
  { match: { path: "/redirect-query" }, redirect: { path_redirect: "/new?a" } },
  { match: { path: "/redirect-strip" }, redirect: { strip_query: true } },
  { match: { path: "/redirect-https" }, redirect: { https_redirect: true } },
  { match: { prefix: "/redirect-prefix" }, redirect: { prefix_rewrite: "/new" } },
  { match: { prefix: "/prefix-rewrite" }, route: { cluster: "echo", prefix_rewrite: "/new" } },
  { match: { path: "/exact-rewrite" }, route: { cluster: "echo", prefix_rewrite: "/new" } },
  {
    match: { prefix: "/regex-rewrite" },
    route: {
      cluster: "echo",
      regex_rewrite: { pattern: { regex: "/(one|two)" }, substitution: "/<\\1>\\\\" },
    },
  },
  { match: { path: "/host-rewrite" }, route: { cluster: "echo", host_rewrite_literal: "upstream.example" } },
  {
    match: { path: "/headers-changed" },
    route: { cluster: "echo" },
    request_headers_to_remove: ["X-Gone", "x-again"],
    request_headers_to_add: [
      { header: { key: "x-appended", value: "1" } },
      { header: { key: "x-set", value: "1%%" }, append_action: "OVERWRITE_IF_EXISTS_OR_ADD" },
      { header: { key: "x-there", value: "1" }, append_action: "ADD_IF_ABSENT" },
      { header: { key: "x-if", value: "1" }, append_action: "OVERWRITE_IF_EXISTS" },
      { header: { key: "x-empty", value: "" } },
      { header: { key: "x-again", value: "1" }, append: {} },
    ],
  },
  { match: withHeader({ string_match: { exact: "exact" } }), direct_response: answer("exact value") },
  { match: withHeader({ string_match: { prefix: "prefix" } }), direct_response: answer("prefix") },
  { match: withHeader({ string_match: { suffix: "SUFFIX", ignore_case: true } }), direct_response: answer("suffix") },
  { match: withHeader({ string_match: { safe_regex: { regex: "r[0-9]" } } }), direct_response: answer("short regex") },
  { match: withHeader({ string_match: { safe_regex: { regex: "r[0-9]+" } } }), direct_response: answer("regex") },
  { match: withHeader({ range_match: { start: 5, end: 10 } }), direct_response: answer("range") },
  { match: withHeader({ present_match: true }), direct_response: answer("present") },
  { match: withHeader({ present_match: false }), direct_response: answer("missing") },
  {
    match: withHeader({ string_match: { exact: "no" }, invert_match: true }, "/inverted"),
    direct_response: answer("inverted"),
  },
  {
    match: withHeader(
      { string_match: { exact: "no" }, invert_match: true, treat_missing_header_as_empty: true },
      "/inverted-empty",
    ),
    direct_response: answer("inverted, or missing"),
  },
  { match: withHeader({ present_match: true, invert_match: true }, "/absent"), direct_response: answer("absent") },
  { match: withParameter({ exact: "1" }), direct_response: answer("one") },
  { match: withParameter({ suffix: "=b" }), direct_response: answer("with an equals sign") },
  { match: withParameter({ exact: "" }), direct_response: answer("empty") },
  {
    match: { path: "/parameter", query_parameters: [{ name: "q", present_match: true }] },
    direct_response: answer("any value"),
  },
];

const routes: RouteConfiguration = {
  name: "table",
  virtual_hosts: [
    { name: "exact", domains: ["www.example.com"], routes: all("exact host") },
    { name: "port", domains: ["www.example.com:8080"], routes: all("host with port") },
    { name: "wild", domains: ["*.example.com"], routes: all("wildcard") },
    { name: "dashed", domains: ["*-a.example.com"], routes: all("dashed wildcard") },
    { name: "start", domains: ["www.*"], routes: all("prefix") },
    { name: "any", domains: ["*"], routes: table },
  ],
};
