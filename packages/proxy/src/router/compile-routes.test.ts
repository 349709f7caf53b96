import { packAny, struct, u32 } from "@meltemi/protos";
import type {
  RouteAction,
  RouteConfiguration,
  RouteMatch,
  Route as RouteWire,
} from "@meltemi/protos/envoy/config/route/v3";
import { expect, test } from "vitest";
import type { Exchange } from "../http/exchange.ts";
import { HeaderList } from "../http/header-list.ts";
import { ConfigError } from "../lib/config-error.ts";
import { compileRouteTable } from "./compile-routes.ts";
import { isCompiledRoute } from "./compiled-route.ts";
import { createTestExchange, testRouteEnv } from "./testing/test-exchange.ts";
import type { Route } from "./types.ts";

const to = (cluster: string): RouteAction => ({ cluster });

function tableOf(...routes: RouteWire[]): RouteConfiguration {
  return { virtual_hosts: [{ name: "v", domains: ["*"], routes }] };
}

function clusterOf(route: Route | undefined): string | undefined {
  return route?.action.kind === "forward" ? route.action.cluster : route?.action.kind;
}

function find(wire: RouteConfiguration, exchange: Exchange): Route | undefined {
  return compileRouteTable(wire, testRouteEnv()).find(exchange);
}

test.each([
  ["a.com", "exact"],
  ["A.COM", "exact"],
  ["a.com:80", "with-port"],
  ["x.a.com", "suffix"],
  ["x.y.a.com", "longer-suffix"],
  [".a.com", "all"],
  ["www.b.org", "prefix"],
  ["www.", "all"],
  ["", "all"],
  ["c.com", "all"],
])("the host %j belongs to the virtual host %s", (authority, expected) => {
  const hosts: readonly [string, string[]][] = [
    ["exact", ["A.com"]],
    ["with-port", ["a.com:80"]],
    ["suffix", ["*.a.com"]],
    ["longer-suffix", ["*.y.a.com"]],
    ["prefix", ["www.*"]],
    ["all", ["*"]],
  ];
  const routes = [{ match: { prefix: "/" }, route: to("c") }];
  const wire = { virtual_hosts: hosts.map(([name, domains]) => ({ name, domains, routes })) };
  expect(find(wire, createTestExchange({ authority }))?.virtualHost).toBe(expected);
});

test("ports of hosts are ignored where the table says so", () => {
  const virtual_hosts = [
    { name: "v", domains: ["a.com", "[::1]"], routes: [{ match: { prefix: "/" }, route: to("c") }] },
  ];
  const table = compileRouteTable({ virtual_hosts, ignore_port_in_host_matching: true }, testRouteEnv());
  for (const authority of ["a.com:81", "a.com", "[::1]:80", "[::1]"]) {
    expect(table.find(createTestExchange({ authority })), authority).toBeDefined();
  }
  expect(find({ virtual_hosts }, createTestExchange({ authority: "a.com:81" }))).toBeUndefined();
});

const template = (path_template: string): RouteMatch => ({
  path_match_policy: {
    name: "t",
    typed_config: packAny("envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig", { path_template }),
  },
});

test.each<[RouteMatch, Parameters<typeof createTestExchange>[0], boolean]>([
  [{ prefix: "/a" }, { path: "/ab?c" }, true],
  [{ prefix: "/A" }, { path: "/ab" }, false],
  [{ prefix: "/A", case_sensitive: { value: false } }, { path: "/ab" }, true],
  [{ prefix: "/a?b" }, { path: "/a?b" }, false],
  [{ prefix: "/" }, { path: "", method: "CONNECT" }, false],
  [{ path: "/a" }, { path: "/a?b" }, true],
  [{ path: "/a" }, { path: "/a/" }, false],
  [{ path: "/A", case_sensitive: { value: false } }, { path: "/a?b" }, true],
  [{ safe_regex: { regex: "/a/.*" } }, { path: "/a/b?c" }, true],
  [{ safe_regex: { regex: "/a" } }, { path: "/ab" }, false],
  [{ path_separated_prefix: "/a" }, { path: "/a/b" }, true],
  [{ path_separated_prefix: "/a" }, { path: "/a?b" }, true],
  [{ path_separated_prefix: "/a" }, { path: "/ab" }, false],
  [{ connect_matcher: {} }, { path: "", method: "CONNECT" }, true],
  [{ connect_matcher: {} }, { path: "/a" }, false],
  [template("/a/{x}/*"), { path: "/a/b/c?d" }, true],
  [template("/a/{x}/*"), { path: "/a/b" }, false],
  [template("/a/**"), { path: "/a/b/c" }, true],
  [template("/{x=*}/b"), { path: "/z/b" }, true],
  [{ prefix: "/", headers: [{ name: "x", exact_match: "1" }] }, { headers: ["x", "1"] }, true],
  [{ prefix: "/", headers: [{ name: "x", exact_match: "1" }] }, { headers: ["x", "2"] }, false],
  [{ prefix: "/", query_parameters: [{ name: "q", string_match: { exact: "1" } }] }, { path: "/?q=1" }, true],
  [{ prefix: "/", query_parameters: [{ name: "q", string_match: { exact: "1" } }] }, { path: "/" }, false],
  [{ prefix: "/", grpc: {} }, { headers: ["content-type", "application/grpc+proto"] }, true],
  [{ prefix: "/", grpc: {} }, { headers: ["content-type", "application/grpc-web"] }, false],
  [{ prefix: "/", grpc: {} }, { headers: ["content-type", "application/grpc;charset=utf-8"] }, false],
  [{ prefix: "/", tls_context: { presented: { value: false } } }, {}, true],
  [{ prefix: "/", tls_context: { validated: { value: true } } }, {}, false],
  [{ prefix: "/", runtime_fraction: { default_value: { numerator: 100 } } }, {}, true],
  [{ prefix: "/", runtime_fraction: { default_value: { numerator: 0 } } }, {}, false],
])("the match %j takes %j: %s", (match, request, expected) => {
  const route = find(tableOf({ match, route: to("c") }), createTestExchange(request));
  expect(route !== undefined).toBe(expected);
});

test("routes are tried in order", () => {
  const wire = tableOf({ match: { prefix: "/a" }, route: to("a") }, { match: { prefix: "/" }, route: to("b") });
  expect(clusterOf(find(wire, createTestExchange({ path: "/ab" })))).toBe("a");
  expect(clusterOf(find(wire, createTestExchange({ path: "/b" })))).toBe("b");
});

test.each<[string, unknown]>([
  ["virtual_hosts[0].routes[0].match", tableOf({ match: {}, route: to("c") })],
  [
    "virtual_hosts[0].routes[0].match.safe_regex.regex",
    tableOf({ match: { safe_regex: { regex: "(" } }, route: to("c") }),
  ],
  ["virtual_hosts[0].routes[0].route", tableOf({ match: { prefix: "/" }, route: {} })],
  ["virtual_hosts[0].routes[0]", tableOf({ match: { prefix: "/" } })],
  [
    "virtual_hosts[0].routes[0].route.weighted_clusters",
    tableOf({ match: { prefix: "/" }, route: { weighted_clusters: { clusters: [{ name: "a", weight: u32(0) }] } } }),
  ],
  [
    "virtual_hosts[0].routes[0].route.inline_cluster_specifier_plugin",
    tableOf({ match: { prefix: "/" }, route: { inline_cluster_specifier_plugin: {} } }),
  ],
  [
    "virtual_hosts[0].routes[0].direct_response.body",
    tableOf({ match: { prefix: "/" }, direct_response: { status: 200, body: { inline_string: "x".repeat(4097) } } }),
  ],
  [
    "virtual_hosts[0].routes[0].request_headers_to_add[0].header.key",
    tableOf({
      match: { prefix: "/" },
      route: to("c"),
      request_headers_to_add: [{ header: { key: "Host", value: "x" } }],
    }),
  ],
  [
    "virtual_hosts[0].routes[0].route.retry_policy.retry_host_predicate[0]",
    tableOf({
      match: { prefix: "/" },
      route: { cluster: "c", retry_policy: { retry_host_predicate: [{ name: "other" }] } },
    }),
  ],
  ["virtual_hosts[0].matcher", { virtual_hosts: [{ name: "v", domains: ["*"], matcher: {} }] }],
  [
    "virtual_hosts[1].domains[0]",
    {
      virtual_hosts: [
        { name: "v", domains: ["a.com"] },
        { name: "w", domains: ["A.com"] },
      ],
    },
  ],
  [
    "virtual_hosts[1].domains[0]",
    {
      virtual_hosts: [
        { name: "v", domains: ["*"] },
        { name: "w", domains: ["*"] },
      ],
    },
  ],
  [
    "virtual_hosts[0].routes[0].route",
    { ...tableOf({ match: { prefix: "/" }, route: to("none") }), validate_clusters: { value: true } },
  ],
  ["vhds", { vhds: {} }],
])("names the field %s that cannot be used", (path, wire) => {
  let problem: unknown;
  try {
    compileRouteTable(wire as RouteConfiguration, testRouteEnv());
  } catch (cause: unknown) {
    problem = cause;
  }
  expect(problem).toBeInstanceOf(ConfigError);
  expect(problem).toMatchObject({ path });
});

test("weights are drawn from", () => {
  const clusters = [
    { name: "a", weight: u32(1) },
    { name: "b", weight: u32(3), metadata_match: { filter_metadata: { "envoy.lb": struct({ v: "2" }) } } },
  ];
  const wire = tableOf({
    match: { prefix: "/" },
    route: {
      weighted_clusters: { clusters, header_name: "x-dice" },
      metadata_match: { filter_metadata: { "envoy.lb": struct({ v: "1", w: "1" }) } },
    },
  });
  const draw = (random: number, headers: string[] = []): Route | undefined =>
    compileRouteTable(wire, testRouteEnv({ random: () => random })).find(createTestExchange({ headers }));
  expect([0, 0.24, 0.25, 0.99].map((random) => clusterOf(draw(random)))).toEqual(["a", "a", "b", "b"]);
  expect(["0", "4", "5", "18446744073709551615"].map((dice) => clusterOf(draw(0.99, ["x-dice", dice])))).toEqual([
    "a",
    "a",
    "b",
    "b",
  ]);
  const route = draw(0.5);
  expect(route && isCompiledRoute(route) && route.rules.forward?.metadataMatch).toEqual({ v: "2", w: "1" });
});

test("a header may name the cluster", () => {
  const wire = tableOf({ match: { prefix: "/" }, route: { cluster_header: "X-Cluster" } });
  expect(clusterOf(find(wire, createTestExchange({ headers: ["x-cluster", "c1"] })))).toBe("c1");
  expect(clusterOf(find(wire, createTestExchange({})))).toBe("");
});

test("headers are changed at every level, the route table's last unless the route's are to win", () => {
  const add = (value: string): Pick<RouteWire, "request_headers_to_add"> => ({
    request_headers_to_add: [{ header: { key: "x", value }, append_action: "OVERWRITE_IF_EXISTS_OR_ADD" }],
  });
  const routes = [{ match: { prefix: "/" }, route: to("c"), ...add("route") }];
  const wire = { virtual_hosts: [{ name: "v", domains: ["*"], routes, ...add("host") }], ...add("table") };
  for (const [closestWins, expected] of [
    [false, "table"],
    [true, "route"],
  ] as const) {
    const exchange = createTestExchange({});
    const route = find({ ...wire, most_specific_header_mutations_wins: closestWins }, exchange);
    const headers = new HeaderList();
    if (route && isCompiledRoute(route)) {
      for (const mutate of route.rules.requestMutations) mutate(headers, { info: exchange.info });
    }
    expect([...headers]).toEqual([["x", expected]]);
  }
});

test.each<
  [Partial<NonNullable<RouteWire["redirect"]>>, { path?: string; authority?: string; headers?: string[] }, string]
>([
  [{ https_redirect: true }, { path: "/a?b" }, "https://a.com/a?b"],
  [{ https_redirect: true }, { authority: "a.com:80", headers: ["x-forwarded-proto", "http"] }, "https://a.com/"],
  [{ https_redirect: true, port_redirect: 444 }, { authority: "a.com:80" }, "https://a.com:444/"],
  [{ host_redirect: "b.com" }, { path: "/p" }, "http://b.com/p"],
  [{ path_redirect: "/x" }, { path: "/p?q" }, "http://a.com/x?q"],
  [{ path_redirect: "/x?y" }, { path: "/p?q" }, "http://a.com/x?y"],
  [{ prefix_rewrite: "/new" }, { path: "/old/p?q" }, "http://a.com/new/p?q"],
  [{ prefix_rewrite: "/new", strip_query: true }, { path: "/old/p?q" }, "http://a.com/new/p"],
  [
    { regex_rewrite: { pattern: { regex: "/o(.*)" }, substitution: "/n\\1" } },
    { path: "/old?q" },
    "http://a.com/nld?q",
  ],
])("the redirect %j of %j goes to %s", (redirect, request, expected) => {
  const match = redirect.prefix_rewrite === undefined ? { prefix: "/" } : { prefix: "/old" };
  const exchange = createTestExchange({ authority: "a.com", ...request });
  const route = find(tableOf({ match, redirect }), exchange);
  const answer = route && isCompiledRoute(route) ? route.rules.answer : undefined;
  exchange.request.path = answer?.rewritePath?.(exchange.request.path) ?? exchange.request.path;
  expect(answer?.location?.(exchange.request)).toBe(expected);
});

test.each<[RouteMatch, RouteAction, string, string | undefined]>([
  [{ prefix: "/a" }, { prefix_rewrite: "/b" }, "/a/c?d", "/b/c?d"],
  [{ path: "/a" }, { prefix_rewrite: "/b" }, "/a?d", "/b?d"],
  [{ safe_regex: { regex: "/.*" } }, { prefix_rewrite: "/b" }, "/a/c?d", "/b?d"],
  [{ prefix: "/" }, { regex_rewrite: { pattern: { regex: "^/x/(.*)$" }, substitution: "/\\1" } }, "/x/y?z", "/y?z"],
  [{ prefix: "/" }, {}, "/a", undefined],
  [
    template("/a/{x}/{y=**}"),
    {
      path_rewrite_policy: {
        name: "r",
        typed_config: packAny("envoy.extensions.path.rewrite.uri_template.v3.UriTemplateRewriteConfig", {
          path_template_rewrite: "/{y}/{x}",
        }),
      },
    },
    "/a/b/c/d",
    "/c/d/b",
  ],
])("the match %j with %j turns %s into %s", (match, action, path, expected) => {
  const route = find(tableOf({ match, route: { cluster: "c", ...action } }), createTestExchange({ path }));
  expect(route && isCompiledRoute(route) && route.rules.forward?.rewritePath?.(path)).toBe(expected);
});

test("requests without TLS are sent there where that is required", () => {
  const virtual_hosts = [
    {
      name: "v",
      domains: ["*"],
      require_tls: "EXTERNAL_ONLY" as const,
      routes: [{ match: { prefix: "/" }, route: to("c") }],
    },
  ];
  const kind = (headers: string[]): string | undefined =>
    clusterOf(find({ virtual_hosts }, createTestExchange({ headers })));
  expect(kind([])).toBe("redirect");
  expect(kind(["x-forwarded-proto", "https"])).toBe("c");
  expect(kind(["x-envoy-internal", "true"])).toBe("c");
});

test("filters have no settings of a virtual host for requests that it sends to TLS", () => {
  const virtual_hosts = [
    {
      name: "v",
      domains: ["*"],
      require_tls: "ALL" as const,
      typed_per_filter_config: { f: packAny("google.protobuf.StringValue", { value: "host" }) },
      routes: [{ match: { prefix: "/" }, route: to("c") }],
    },
  ];
  const { find: choose } = compileRouteTable({ virtual_hosts }, testRouteEnv({ compileFilterConfig: (name) => name }));
  const settings = (headers: string[]) => choose(createTestExchange({ headers }))?.filterConfig("f");
  expect([settings([]), settings(["x-forwarded-proto", "https"])]).toEqual([undefined, "f"]);
});

test("filters find their settings at the closest level", () => {
  const any = (name: string): ReturnType<typeof packAny> => packAny("google.protobuf.StringValue", { value: name });
  const wrap = (config: object): ReturnType<typeof packAny> => packAny("envoy.config.route.v3.FilterConfig", config);
  const wire: RouteConfiguration = {
    typed_per_filter_config: { f: any("table"), g: wrap({ config: any("table") }) },
    virtual_hosts: [
      {
        name: "v",
        domains: ["*"],
        typed_per_filter_config: { f: any("host") },
        routes: [{ match: { prefix: "/" }, route: to("c"), typed_per_filter_config: { g: wrap({ disabled: true }) } }],
      },
    ],
  };
  const env = testRouteEnv({
    compileFilterConfig: (name, config) => `${name}:${Buffer.from(config.value ?? []).subarray(2)}`,
  });
  const route = compileRouteTable(wire, env).find(createTestExchange({}));
  expect(route?.filterConfig("f")).toBe("f:host");
  expect(route?.filterConfigs("f")).toEqual(["f:host", "f:table"]);
  expect([route?.isDisabled("f"), route?.isDisabled("g"), route?.isDisabled("h")]).toEqual([false, true, false]);
});
