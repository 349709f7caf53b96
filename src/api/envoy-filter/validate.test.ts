import { expect, test } from "vitest";
import { parseObject } from "../parse.ts";

/** What is said of a filter apart from what is said of every one. */
function said(spec: unknown): readonly string[] {
  const { object, messages } = parseObject({
    apiVersion: "networking.istio.io/v1alpha3",
    kind: "EnvoyFilter",
    metadata: { name: "a", namespace: "shop" },
    spec,
  });
  expect(object === undefined).toBe(messages.some(({ level }) => level === "error"));
  return messages
    .filter(({ code }) => code !== "internals" && code !== "untranslated-field")
    .map(({ level, path, text }) => `${level} ${path.replace("spec.configPatches[0].", "")}: ${text}`);
}

const lua = {
  name: "envoy.filters.http.lua",
  typed_config: {
    "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
    default_source_code: { inline_string: "function envoy_on_request(h) end" },
  },
};
const manager = "envoy.filters.network.http_connection_manager";
const before = (name: string) => ({ listener: { filterChain: { filter: { name: manager, subFilter: { name } } } } });
const insert = { operation: "INSERT_BEFORE", value: lua };

test("every filter is kept, and warned of", () => {
  const raw = { apiVersion: "networking.istio.io/v1alpha3", kind: "EnvoyFilter", metadata: { name: "a" } };
  const { object, messages } = parseObject(raw);
  expect(object?.kind).toBe("EnvoyFilter");
  expect(messages.map(({ level, code }) => [level, code])).toEqual([["warning", "internals"]]);
});

const taken: readonly unknown[] = [
  { applyTo: "HTTP_FILTER", match: before("envoy.filters.http.router"), patch: insert },
  {
    applyTo: "CLUSTER",
    match: { cluster: { service: "a.b" } },
    patch: { operation: "MERGE", value: { connectTimeout: "3s" } },
  },
  { applyTo: "CLUSTER", patch: { operation: "REMOVE" } },
  {
    applyTo: "VIRTUAL_HOST",
    match: { routeConfiguration: {} },
    patch: { operation: "MERGE_AND_REPLACE_LIST", value: {} },
  },
  { applyTo: 8, patch: { operation: 1, value: { per_connection_buffer_limit_bytes: "5" } } },
  { match: { context: "WAYPOINT", waypoint: {} } },
  {
    applyTo: "LISTENER_FILTER",
    match: { proxy: { proxyVersion: "^1\\.2.*", metadata: { a: "b" } } },
    patch: { operation: "REMOVE" },
  },
  {
    applyTo: "EXTENSION_CONFIG",
    patch: {
      operation: "ADD",
      value: {
        name: "a",
        typed_config: { "@type": "t/envoy.extensions.filters.http.golang.v3alpha.Config", library_id: 1 },
      },
    },
  },
];
test.each(taken)("takes %j", (patch) => {
  expect(said({ configPatches: [patch], priority: -5, targetRefs: [{ kind: "Gateway" }] })).toEqual([]);
});

const judged: readonly (readonly [patch: unknown, expected: readonly string[]])[] = [
  [null, ["error applyTo: is required"]],
  [{ applyTo: "INVALID" }, ["error applyTo: is required"]],
  [{ applyTo: "CLUSTER" }, ["error patch.operation: is required"]],
  [{ applyTo: "CLUSTER", patch: { operation: "ADD" } }, ["error patch.value: is required for ADD"]],
  [
    { applyTo: "CLUSTER", patch: { operation: "ADD", value: [] } },
    ["error patch.value: must be an object, not a list"],
  ],
  [{ applyTo: "CLUSTR" }, [expect.stringContaining("error applyTo: must be one of") as unknown as string]],
  [
    { applyTo: "CLUSTER", match: { listener: {} }, patch: { operation: "REMOVE" } },
    ["error match.listener: CLUSTER needs a match of cluster instead"],
  ],
  [
    { applyTo: "HTTP_FILTER", match: { cluster: {} }, patch: { operation: "REMOVE" } },
    ["error match.cluster: HTTP_FILTER needs a match of listener instead"],
  ],
  [
    { applyTo: "HTTP_ROUTE", match: { listener: {}, cluster: {} }, patch: { operation: "REMOVE" } },
    [
      "error match: only one of listener, cluster may be set",
      "error match.listener: HTTP_ROUTE needs a match of routeConfiguration instead",
    ],
  ],
  [
    { applyTo: "NETWORK_FILTER", match: before("x"), patch: { operation: "REMOVE" } },
    ["error match.listener.filterChain.filter.subFilter: is for HTTP_FILTER only"],
  ],
  [
    { applyTo: "HTTP_FILTER", match: before(""), patch: { operation: "REMOVE" } },
    ["error match.listener.filterChain.filter.subFilter.name: is required"],
  ],
  [
    {
      applyTo: "HTTP_FILTER",
      match: { listener: { filterChain: { filter: { name: "x", subFilter: {} } } } },
      patch: { operation: "REMOVE" },
    },
    [`error match.listener.filterChain.filter.subFilter: needs a filter named ${manager}`],
  ],
  [
    { applyTo: "LISTENER", match: { listener: { filterChain: { filter: {} } } }, patch: { operation: "REMOVE" } },
    [
      "warning match.listener.filterChain.filter: has no effect for LISTENER",
      "error match.listener.filterChain.filter.name: is required",
    ],
  ],
  [
    { applyTo: "HTTP_FILTER", match: before("envoy.router"), patch: { operation: "REMOVE" } },
    [
      'warning match.listener.filterChain.filter.subFilter.name: "envoy.router" is the former name of envoy.filters.http.router',
    ],
  ],
  [
    { applyTo: "BOOTSTRAP", patch: { operation: "MERGE", value: { stats_flush_interval: "1m" } } },
    ["warning applyTo: has no effect: proxies get their bootstrap when they start"],
  ],
  [
    { applyTo: "HTTP_ROUTE", patch: { operation: "REPLACE", value: { name: "a" } } },
    ["warning patch.operation: REPLACE has no effect on HTTP_ROUTE"],
  ],
  [
    { applyTo: "CLUSTER", match: { proxy: { proxyVersion: "(?<=a)b" } }, patch: { operation: "REMOVE" } },
    [expect.stringContaining("error match.proxy.proxyVersion: is not a valid RE2 expression") as unknown as string],
  ],
  [
    { applyTo: "CLUSTER", match: { proxy: { proxyVersion: "(".repeat(1025) } }, patch: { operation: "REMOVE" } },
    ["warning match.proxy.proxyVersion: is longer than 1024 characters: it matches no proxy"],
  ],
  [
    { applyTo: "CLUSTER", patch: { operation: "MERGE", value: { connect_timeout: 3, lb_policy: "RANDM", conect: 1 } } },
    [
      'error patch.value.connect_timeout: must be a duration such as "1.5s", not 3',
      expect.stringContaining('error patch.value.lb_policy: "RANDM" is no value of') as unknown as string,
      expect.stringContaining("warning patch.value.conect: no such field") as unknown as string,
    ],
  ],
  [
    { applyTo: "HTTP_FILTER", patch: { operation: "ADD", value: { name: "envoy.filters.http.lua" } } },
    ["warning patch.value: has no typed_config: Envoy does not find extensions by name"],
  ],
  [
    {
      applyTo: "HTTP_FILTER",
      patch: {
        operation: "ADD",
        value: { name: "a", typed_config: { "@type": "t/envoy.config.filter.http.lua.v2.Lua" } },
      },
    },
    [
      'error patch.value.typed_config["@type"]: unknown message type envoy.config.filter.http.lua.v2.Lua: use the type of Envoy\'s API v3 instead',
    ],
  ],
  [
    { applyTo: "HTTP_FILTER", patch: { operation: "ADD", value: { name: "a", typed_config: {} } } },
    ['error patch.value.typed_config["@type"]: is required: the type of what stands here'],
  ],
];
test.each(judged)("judges %j", (patch, expected) => expect(said({ configPatches: [patch] })).toEqual(expected));

test("workloads are selected by labels as they are", () => {
  expect(said({ workloadSelector: {} })).toEqual([
    "warning spec.workloadSelector: has no labels, so that it selects every workload of the namespace",
  ]);
  expect(said({ workloadSelector: { labels: { app: "*" } } })).toEqual([
    'error spec.workloadSelector.labels.app: "*" has no meaning here: labels are compared as they are',
  ]);
});
