import { packAny } from "@meltemi/protos";
import type { RedirectAction, Route, RouteConfiguration, VirtualHost } from "@meltemi/protos/envoy/config/route/v3";
import { describe, expect, it, test } from "vitest";
import type { Call } from "./call.ts";
import { createProxyResources } from "./resources.ts";
import { simulate } from "./simulate.ts";

/** Runs a request at a bound listener whose route configuration is this one. */
function request(configuration: RouteConfiguration, call: Partial<Call> = {}) {
  const manager = packAny("envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", {
    route_config: configuration,
    use_remote_address: { value: true },
    normalize_path: { value: true },
  });
  const listener = {
    name: "web",
    address: { socket_address: { address: "0.0.0.0", port_value: 80 } },
    filter_chains: [{ filters: [{ name: "http", typed_config: manager }] }],
  };
  const endpoint = { endpoint: { address: { socket_address: { address: "10.9.0.1", port_value: 80 } } } };
  const clusters = ["a", "b"].map((name) => ({
    name,
    type: "STATIC" as const,
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [endpoint] }] },
  }));
  const resources = createProxyResources({ listeners: [listener], clusters: [...clusters, { name: "empty" }] });
  return simulate(resources, { to: "10.0.0.1:80", host: "web.example:80", path: "/", ...call }).outcome;
}

const routed = (route: Route, host: Partial<VirtualHost> = {}): RouteConfiguration => ({
  virtual_hosts: [{ name: "all", domains: ["*"], ...host, routes: [{ match: { prefix: "/" }, ...route }] }],
});

describe("redirects", () => {
  const locate = (redirect: RedirectAction, call: Partial<Call>, match: Route["match"] = { prefix: "/" }) =>
    request(routed({ match, redirect }), call);

  test.each<readonly [RedirectAction, string, string]>([
    [{}, "/p?q=1", "http://web.example:80/p?q=1"],
    [{ https_redirect: true }, "/p", "https://web.example/p"],
    [{ scheme_redirect: "https" }, "/p", "https://web.example/p"],
    [{ https_redirect: true, port_redirect: 8443 }, "/p", "https://web.example:8443/p"],
    [{ host_redirect: "b.example" }, "/p", "http://b.example/p"],
    [{ port_redirect: 81 }, "/p", "http://web.example:81/p"],
    [{ path_redirect: "/n" }, "/p?q=1", "http://web.example:80/n?q=1"],
    [{ path_redirect: "/n?a" }, "/p?q=1", "http://web.example:80/n?a"],
    [{ path_redirect: "" }, "/p", "http://web.example:80/p"],
    [{ strip_query: true }, "/p?q=1", "http://web.example:80/p"],
    [{ path_redirect: "/n?a", strip_query: true }, "/p?q=1", "http://web.example:80/n?a"],
  ])("%j of %s: %s", (redirect, path, location) => {
    expect(locate(redirect, { path })).toMatchObject({ result: "redirect", status: 301, location });
  });

  it("puts a prefix in place of the one that matched", () => {
    const outcome = locate({ prefix_rewrite: "/new" }, { path: "/old/x?q" }, { prefix: "/old" });
    expect(outcome).toMatchObject({ location: "http://web.example:80/new/x?q" });
  });

  test.each([
    ["FOUND", 302],
    ["SEE_OTHER", 303],
    ["TEMPORARY_REDIRECT", 307],
    ["PERMANENT_REDIRECT", 308],
  ] as const)("%s is %s", (response_code, status) => {
    expect(locate({ response_code }, {})).toMatchObject({ status });
  });

  it("asks for TLS before any route", () => {
    const outcome = request(routed({ route: { cluster: "a" } }, { require_tls: "ALL" }), { path: "/p?q" });
    expect(outcome).toMatchObject({ result: "redirect", status: 301, location: "https://web.example/p?q" });
  });
});

describe("rewrites", () => {
  const swap = { pattern: { regex: "/(\\w+)/(\\w+)" }, substitution: "/\\2/\\1\\\\" };
  test.each<readonly [Route, string, string]>([
    [{ match: { prefix: "/a" }, route: { cluster: "a", prefix_rewrite: "/b" } }, "/a/c?q", "/b/c?q"],
    [{ match: { prefix: "/a/" }, route: { cluster: "a", prefix_rewrite: "/" } }, "/a/c", "/c"],
    [{ match: { path: "/a" }, route: { cluster: "a", prefix_rewrite: "/b" } }, "/a?q", "/b?q"],
    [{ match: { path_separated_prefix: "/a" }, route: { cluster: "a", prefix_rewrite: "/b" } }, "/a/c", "/b/c"],
    [{ match: { safe_regex: { regex: "/a.*" } }, route: { cluster: "a", prefix_rewrite: "/b" } }, "/a/c?q", "/b?q"],
    [{ route: { cluster: "a", regex_rewrite: swap } }, "/a/b/c/d?e/f/g/h", "/b/a\\/d/c\\?e/f/g/h"],
    [{ route: { cluster: "a" } }, "/x/../a/./%62", "/a/b"],
  ])("%j: %s becomes %s", (route, path, expected) => {
    expect(request(routed(route), { path })).toMatchObject({ result: "http", path: expected });
  });

  test.each<readonly [Route["route"], string]>([
    [{ cluster: "a" }, "web.example:80"],
    [{ cluster: "a", host_rewrite_literal: "b.example" }, "b.example"],
    [{ cluster: "a", host_rewrite_header: "x-host" }, "c.example"],
    [{ cluster: "a", host_rewrite_header: "x-none" }, "web.example:80"],
  ])("%j: host %s", (route, host) => {
    expect(request(routed({ route }), { headers: { "x-host": "c.example" } })).toMatchObject({ host });
  });
});

describe("destinations", () => {
  const route = {
    weighted_clusters: {
      clusters: [
        { name: "a", weight: { value: 3 } },
        { name: "b", weight: { value: 1 } },
      ],
    },
  };
  test.each([
    [0, "a"],
    [74, "a"],
    [75, "b"],
  ])("the dice at %s falls on %s", (sample, cluster) => {
    expect(request(routed({ route }), { sample })).toMatchObject({ cluster, clusters: { a: 3, b: 1 } });
  });

  test.each([
    [{ cluster: "a" }, undefined, undefined],
    [{ cluster: "empty" }, "UH", 503],
    [{ cluster: "gone" }, "NC", 503],
    [{ cluster: "gone", cluster_not_found_response_code: "NOT_FOUND" }, "NC", 404],
    [{ cluster_header: "x-cluster" }, undefined, undefined],
  ] as const)("%j: %s", (action, flags, status) => {
    const outcome = request(routed({ route: action }), { headers: { "x-cluster": "b" } });
    expect(outcome).toMatchObject({ result: "http" });
    expect(["flags" in outcome ? outcome.flags : undefined, "status" in outcome ? outcome.status : undefined]).toEqual([
      flags,
      status,
    ]);
  });

  it("answers where no route or host takes a request", () => {
    const nobody = { result: "answer", status: 404, flags: "NR" };
    expect(request(routed({ match: { path: "/a" }, route: { cluster: "a" } }))).toMatchObject(nobody);
    expect(request({ virtual_hosts: [{ name: "a", domains: ["a"] }] })).toMatchObject(nobody);
  });

  it("answers by itself", () => {
    const body = { inline_bytes: Buffer.from("gone") };
    expect(request(routed({ direct_response: { status: 410, body } }))).toMatchObject({
      result: "answer",
      status: 410,
      body: "gone",
    });
  });
});

describe("settings", () => {
  it("changes headers from the destination outwards, removals first", () => {
    const add = (key: string, value: string, append_action = "APPEND_IF_EXISTS_OR_ADD" as const) => ({
      header: { key, value },
      append_action,
    });
    const cluster = {
      name: "a",
      weight: { value: 1 },
      request_headers_to_add: [add("x", "1")],
      response_headers_to_remove: ["server"],
    };
    const route: Route = {
      route: { weighted_clusters: { clusters: [cluster] } },
      request_headers_to_remove: ["Old", "x"],
      request_headers_to_add: [
        add("x", "2%%"),
        { header: { key: "seen", value: "no" }, append_action: "ADD_IF_ABSENT" },
        { header: { key: "kept", value: "no" }, append_action: "OVERWRITE_IF_EXISTS" },
        { header: { key: "empty", value: "" } },
      ],
      response_headers_to_add: [{ header: { key: "by", value: "route" }, append: { value: false } }],
    };
    const host = { request_headers_to_add: [add("x", "3")], response_headers_to_add: [add("by", "host")] };
    expect(request(routed(route, host), { headers: { old: "1", seen: "yes" } })).toMatchObject({
      requestHeaders: { x: "2%,3", seen: "yes" },
      responseHeaders: { by: "route,host" },
      responseHeadersRemoved: ["server"],
    });
  });

  it("reads timeouts, retries, mirrors and faults", () => {
    const delay = { fixed_delay: { seconds: 2 }, percentage: { numerator: 5, denominator: "HUNDRED" } } as const;
    const fault = packAny("envoy.extensions.filters.http.fault.v3.HTTPFault", { delay });
    const retry_policy = { retry_on: "5xx", num_retries: { value: 3 }, per_try_timeout: { nanos: 500_000_000 } };
    const request_mirror_policies = [{ cluster: "b", runtime_fraction: { default_value: { numerator: 1 } } }];
    const route: Route = {
      route: { cluster: "a", timeout: { seconds: 1 }, retry_policy, request_mirror_policies },
      typed_per_filter_config: { "envoy.filters.http.fault": fault },
    };
    expect(request(routed(route))).toMatchObject({
      timeoutMs: 1000,
      retries: 3,
      retryOn: "5xx",
      perTryTimeoutMs: 500,
      mirrors: { b: 1 },
      fault: { delayMs: 2000, delayPercent: 5 },
    });
    expect(request(routed({ route: { cluster: "a" } }))).toMatchObject({ timeoutMs: 15_000, retries: 0, mirrors: {} });
  });
});
