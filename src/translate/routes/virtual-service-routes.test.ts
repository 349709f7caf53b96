import { findUnknownKeys, toJson } from "@meltemi/protos";
import { describe, expect, it } from "vitest";
import { applyObjects, createTestMesh } from "../../../test/support/mesh-objects.ts";
import { destinationRule, reviews, virtualService } from "../../../test/support/sample-objects.ts";
import { type TestViewOptions, viewOf, viewOfRules } from "../../../test/support/scope-views.ts";
import type { DestinationRule } from "../../api/destination-rule/schema.ts";
import type { HttpRoute } from "../../api/virtual-service/schema.ts";
import { sourcesOf } from "../built.ts";
import { destinationsOfView } from "./destinations.ts";
import { buildVirtualServiceRoutes, type RouteContext, sortCatchAllLast } from "./virtual-service-routes.ts";

type Json = Readonly<Record<string, unknown>>;
type Options = TestViewOptions & {
  readonly rules?: readonly DestinationRule[];
  readonly context?: Partial<RouteContext>;
};

const toReviews: HttpRoute["route"] = [{ destination: { host: "reviews" } }];
const host = "reviews.bookinfo.svc.cluster.local";

function build(http: readonly HttpRoute[], options: Options = {}) {
  const view = viewOfRules({ hosts: ["reviews"], gateways: ["mesh", "edge"], http }, options);
  const [virtualService] = view.snapshot.virtualServices;
  if (virtualService === undefined) throw new Error("the virtual service is not in the snapshot");
  const findDestination = destinationsOfView(view);
  const context = { view, gateways: new Set(["mesh"]), port: 9080, isTls: false, findDestination };
  return buildVirtualServiceRoutes(virtualService, { ...context, ...options.context });
}

/** Routes as JSON, after a check that nothing in them is misspelt. */
function json(http: readonly HttpRoute[], options: Options = {}): readonly Json[] {
  return build(http, options).map((route) => {
    expect(findUnknownKeys("envoy.config.route.v3.Route", route)).toEqual([]);
    return toJson("envoy.config.route.v3.Route", route) as Json;
  });
}

/** The action of the only route, without what all have alike. */
function action(rule: HttpRoute, options: Options = {}): Json {
  const { route = {} } = json([rule], options)[0] ?? {};
  const { retry_policy: _retries, timeout: _timeout, max_grpc_timeout: _max, ...rest } = route as Json;
  return rest;
}

const names = (http: readonly HttpRoute[], options?: Options): readonly unknown[] =>
  json(http, options).map((route) => route["name"]);

describe("order of routes", () => {
  it("builds one route for each match, named after rule and match", () => {
    const match = [{ name: "a", uri: { exact: "/a" } }, { uri: { exact: "/b" } }];
    expect(names([{ name: "first", match, route: toReviews }, { route: toReviews }])).toEqual([
      "first.a",
      "first",
      undefined,
    ]);
  });

  it.each<readonly [string, HttpRoute]>([
    ["a rule without match", { name: "all", route: toReviews }],
    ["a match of everything", { name: "all", match: [{ uri: { prefix: "/" } }], route: toReviews }],
    ["a regex for everything", { name: "all", match: [{ uri: { regex: ".*" } }], route: toReviews }],
  ])("stops after %s", (_name, rule) => {
    expect(names([rule, { name: "never", match: [{ uri: { exact: "/x" } }], route: toReviews }])).toEqual(["all"]);
  });

  it("can move what catches everything to the end", () => {
    const all = build([{ name: "all", route: toReviews }]);
    const one = build([{ name: "one", match: [{ uri: { exact: "/" } }], route: toReviews }]);
    expect(sortCatchAllLast([...all, ...one]).map(({ name }) => name)).toEqual(["one", "all"]);
  });

  it("notes the object and the path that made a route", () => {
    const routes = build([{ match: [{ uri: { exact: "/a" } }], route: toReviews }, { route: toReviews }]);
    const object = { kind: "VirtualService", namespace: "bookinfo", name: "reviews" };
    expect(routes.map(sourcesOf)).toEqual([
      [{ object, path: "spec.http[0].match[0]" }],
      [{ object, path: "spec.http[1]" }],
    ]);
  });
});

it("names the virtual service and its delegates where rules are merged", () => {
  const inner = virtualService("inner", { http: [{ match: [{ uri: { prefix: "/a/b" } }], route: toReviews }] });
  const root = virtualService("root", {
    hosts: ["reviews"],
    http: [{ match: [{ uri: { prefix: "/a" } }], delegate: { name: "inner" } }],
  });
  const view = viewOf(applyObjects(createTestMesh(), reviews, root, inner));
  const [merged] = view.snapshot.virtualServices;
  const findDestination = destinationsOfView(view);
  const context = { view, gateways: new Set(["mesh"]), port: 9080, isTls: false, findDestination };
  const [route] = merged === undefined ? [] : buildVirtualServiceRoutes(merged, context);
  expect(route?.match).toMatchObject({ prefix: "/a/b" });
  expect(route && sourcesOf(route)).toMatchObject([
    { object: { name: "root" }, path: "spec.http" },
    { object: { name: "inner" }, path: "spec.http" },
  ]);
});

describe("conditions known beforehand", () => {
  const app = { app: "productpage" };
  const cases: readonly (readonly [NonNullable<HttpRoute["match"]>[number], Options, boolean])[] = [
    [{ port: 9080 }, {}, true],
    [{ port: 80 }, {}, false],
    [{ sourceLabels: app }, { key: { labels: app } }, true],
    [{ sourceLabels: app }, {}, false],
    [{ sourceNamespace: "bookinfo" }, {}, true],
    [{ sourceNamespace: "other" }, {}, false],
    [{ gateways: ["mesh"] }, {}, true],
    [{ gateways: ["edge"] }, {}, false],
    [{ gateways: ["edge"] }, { context: { gateways: new Set(["bookinfo/edge"]) } }, true],
    // Gateways do not have the labels of a workload, so they are not asked.
    [{ gateways: ["edge"], sourceLabels: app }, { context: { gateways: new Set(["bookinfo/edge"]) } }, true],
  ];

  it.each(cases)("decides %j", (match, options, expected) => {
    expect(build([{ match: [match], route: toReviews }], options)).toHaveLength(expected ? 1 : 0);
  });
});

describe("destinations", () => {
  it("forwards to the only destination and calls the trace after it", () => {
    const [route] = json([{ match: [{ uri: { prefix: "/a" } }], route: toReviews, timeout: "5s" }]);
    expect(route).toMatchObject({
      route: { cluster: `outbound|9080||${host}`, timeout: "5s", max_grpc_timeout: "5s" },
      decorator: { operation: `${host}:9080/a*` },
      metadata: {
        filter_metadata: {
          istio: { config: "/apis/networking.istio.io/v1/namespaces/bookinfo/virtual-service/reviews" },
        },
      },
    });
  });

  it("turns timeouts off where none is set", () => {
    expect(json([{ route: toReviews }])[0]?.["route"]).toMatchObject({ timeout: "0s", max_grpc_timeout: "0s" });
  });

  it("weighs several destinations and leaves out those without weight", () => {
    const route: HttpRoute["route"] = [
      { destination: { host: "reviews", subset: "v1" }, weight: 90, headers: { response: { set: { "x-v": "1" } } } },
      { destination: { host: "reviews", subset: "v2" }, weight: 0 },
      { destination: { host: "ratings" }, weight: 10, headers: { request: { set: { host: "inner" } } } },
    ];
    const [built] = json([{ route }]);
    expect(built?.["decorator"]).toEqual({ operation: "reviews:9080/*" });
    expect(action({ route })).toEqual({
      weighted_clusters: {
        clusters: [
          {
            name: `outbound|9080|v1|${host}`,
            weight: 90,
            response_headers_to_add: [
              { header: { key: "x-v", value: "1" }, append_action: "OVERWRITE_IF_EXISTS_OR_ADD" },
            ],
          },
          { name: "outbound|9080||ratings.bookinfo.svc.cluster.local", weight: 10, host_rewrite_literal: "inner" },
        ],
      },
    });
  });

  it("goes to a cluster that nobody has where no destination has a weight", () => {
    const route = [{ destination: { host: "reviews" } }, { destination: { host: "ratings" } }];
    expect(action({ route })).toEqual({ cluster: "UnknownService" });
  });

  it("takes the port of the destination before all others", () => {
    const route = [{ destination: { host: "unknown.example", port: { number: 8443 } } }];
    expect(action({ route })).toEqual({ cluster: "outbound|8443||unknown.example" });
    const other = [{ destination: { host: "unknown.example" } }];
    expect(action({ route: other })).toEqual({ cluster: "outbound|9080||unknown.example" });
  });

  it("mirrors to all mirrors that have a share", () => {
    const mirror = { host: "reviews", subset: "v3" };
    const policy = (cluster: string, share: unknown): unknown => ({
      cluster,
      runtime_fraction: { default_value: share },
      trace_sampled: false,
      disable_shadow_host_suffix_append: true,
    });
    const third = `outbound|9080|v3|${host}`;
    const mirrorsOf = (rule: HttpRoute): unknown => action({ route: toReviews, ...rule })["request_mirror_policies"];
    expect(mirrorsOf({ mirror })).toEqual([policy(third, { numerator: 100 })]);
    expect(mirrorsOf({ mirror, mirrorPercent: 10 })).toEqual([policy(third, { numerator: 10 })]);
    expect(mirrorsOf({ mirror, mirrorPercentage: { value: 0 } })).toBeUndefined();
    expect(mirrorsOf({ mirror, mirrorPercent: 0 })).toBeUndefined();
    // Stated, although less than a millionth.
    expect(mirrorsOf({ mirror, mirrorPercentage: { value: 0.00001 } })).toEqual([
      policy(third, { denominator: "MILLION" }),
    ]);
    expect(
      mirrorsOf({ mirrors: [{ destination: mirror, percentage: { value: 0 } }, { destination: { host: "ratings" } }] }),
    ).toEqual([policy("outbound|9080||ratings.bookinfo.svc.cluster.local", { numerator: 100 })]);
    expect(mirrorsOf({ mirrors: [{ destination: mirror, percentage: { value: 2.5 } }] })).toEqual([
      policy(third, { numerator: 25000, denominator: "MILLION" }),
    ]);
  });
});

describe("rewrites and headers", () => {
  const cases: readonly (readonly [HttpRoute, Json])[] = [
    [{ rewrite: { uri: "/new" } }, { prefix_rewrite: "/new" }],
    [{ rewrite: { authority: "inner.example" } }, { host_rewrite_literal: "inner.example" }],
    [
      { rewrite: { uriRegexRewrite: { match: "/a/(.*)", rewrite: "/\\1" } } },
      { regex_rewrite: { pattern: { regex: "/a/(.*)" }, substitution: "/\\1" } },
    ],
    [{ headers: { request: { set: { ":authority": "set.example" } } } }, { host_rewrite_literal: "set.example" }],
    [
      { headers: { request: { set: { Host: "set.example" }, add: { host: "added.example" } } } },
      { host_rewrite_literal: "set.example" },
    ],
    [
      { rewrite: { authority: "rewrite.example" }, headers: { request: { set: { host: "set.example" } } } },
      { host_rewrite_literal: "rewrite.example" },
    ],
  ];

  it.each(cases)("translates %j", (rule, expected) => {
    expect(action({ ...rule, route: toReviews })).toEqual({ cluster: `outbound|9080||${host}`, ...expected });
  });

  it("puts header changes of the rule and of its only destination on the route", () => {
    const headers: HttpRoute["headers"] = {
      request: {
        set: { "x-b": "b", "x-a": "a", ":path": "/no" },
        add: { "x-c": "%PROTOCOL%" },
        remove: ["x-d", "host"],
      },
      response: { add: { "x-r": "r" }, remove: ["server-timing"] },
    };
    const own: HttpRoute["headers"] = { request: { add: { "x-e": "e" } }, response: { remove: ["x-f"] } };
    const overwrite = { append_action: "OVERWRITE_IF_EXISTS_OR_ADD" };
    const [route] = json([{ headers, route: [{ destination: { host: "reviews" }, headers: own }] }]);
    expect(route).toMatchObject({
      request_headers_to_add: [
        { header: { key: "x-a", value: "a" }, ...overwrite },
        { header: { key: "x-b", value: "b" }, ...overwrite },
        { header: { key: "x-c", value: "%PROTOCOL%" } },
        { header: { key: "x-e", value: "e" } },
      ],
      request_headers_to_remove: ["x-d"],
      response_headers_to_add: [{ header: { key: "x-r", value: "r" } }],
      response_headers_to_remove: ["server-timing", "x-f"],
    });
  });
});

describe("what is no forwarding", () => {
  it("redirects and answers by itself, and calls the trace after the virtual service", () => {
    const routes = json([
      { match: [{ uri: { exact: "/old" }, statPrefix: "old" }], redirect: { uri: "/new", redirectCode: 302 } },
      { directResponse: { status: 418, body: { string: "short" } } },
    ]);
    expect(routes[0]).toMatchObject({
      stat_prefix: "old",
      redirect: { path_redirect: "/new", response_code: "FOUND" },
      decorator: { operation: "reviews:9080/old" },
    });
    expect(routes[1]).toMatchObject({ direct_response: { status: 418, body: { inline_string: "short" } } });
    expect(routes[0]).not.toHaveProperty("route");
  });

  it("configures filters of the route, but only those that the proxy has", () => {
    const rule: HttpRoute = { route: toReviews, fault: { abort: { httpStatus: 500 } }, corsPolicy: {} };
    const [route] = json([rule]);
    expect(Object.keys(route?.["typed_per_filter_config"] as Json)).toEqual([
      "envoy.filters.http.fault",
      "envoy.filters.http.cors",
    ]);
    const extensions = new Set(["envoy.filters.http.cors"]);
    const [fewer] = json([rule], {
      key: { capabilities: { istioVersion: undefined, extensions, acceptHttp10: false } },
    });
    expect(Object.keys(fewer?.["typed_per_filter_config"] as Json)).toEqual(["envoy.filters.http.cors"]);
    expect(fewer?.["route"]).not.toHaveProperty("retry_policy.retry_host_predicate");
  });
});

describe("consistent hashing", () => {
  const hash = (spec: Json): Json => ({ loadBalancer: { consistentHash: spec } });
  const rules = [
    destinationRule("reviews", {
      host: "reviews",
      trafficPolicy: {
        ...hash({ httpHeaderName: "x-all" }),
        portLevelSettings: [{ port: { number: 9080 }, ...hash({ httpQueryParameterName: "port" }) }],
      },
      subsets: [
        { name: "cookie", trafficPolicy: hash({ httpCookie: { name: "user", path: "/", ttl: "3600s" } }) },
        {
          name: "strict",
          trafficPolicy: hash({ httpCookie: { name: "c", attributes: [{ name: "SameSite", value: "Strict" }] } }),
        },
        { name: "ip", trafficPolicy: hash({ useSourceIp: true }) },
        { name: "plain" },
      ],
    }),
  ];
  const policyOf = (destination: { readonly subset?: string; readonly port?: { readonly number: number } }): unknown =>
    action({ route: [{ destination: { host: "reviews", ...destination } }] }, { rules })["hash_policy"];

  it("takes the most specific setting", () => {
    const header = [{ header: { header_name: "x-all" } }];
    expect(policyOf({})).toEqual(header);
    expect(policyOf({ port: { number: 9080 } })).toEqual([{ query_parameter: { name: "port" } }]);
    expect(policyOf({ subset: "cookie" })).toEqual([{ cookie: { name: "user", path: "/", ttl: "3600s" } }]);
    expect(policyOf({ subset: "strict" })).toEqual([
      { cookie: { name: "c", attributes: [{ name: "SameSite", value: "Strict" }] } },
    ]);
    expect(policyOf({ subset: "ip" })).toEqual([{ connection_properties: { source_ip: true } }]);
    expect(policyOf({ subset: "plain" })).toEqual(header);
  });

  it("keeps retries on the host that the hash picks", () => {
    const [route] = json([{ route: toReviews }], { rules });
    expect(route?.["route"]).not.toHaveProperty("retry_policy.retry_host_predicate");
  });
});
