import { describe, expect, test } from "vitest";
import { findJsonFaults } from "./json-faults.ts";

const cluster = "envoy.config.cluster.v3.Cluster";
const filter = "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter";
const said = (typeName: string, json: unknown): readonly string[] =>
  findJsonFaults(typeName, json).map(({ path, kind, reason }) => `${kind} ${path.join(".")}: ${reason}`);
const lua = "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua";

describe("what Istio reads", () => {
  const documents: readonly unknown[] = [
    { name: "a", connectTimeout: "1m30s", connect_timeout: "3s", lb_policy: "RANDOM" },
    { lb_policy: 3, per_connection_buffer_limit_bytes: "32768", type: null },
    {
      common_lb_config: { healthy_panic_threshold: { value: "50.5" } },
      metadata: { filter_metadata: { a: { b: [1] } } },
    },
    { dns_lookup_family: 99, respect_dns_ttl: true, load_assignment: { cluster_name: "a", endpoints: [null] } },
  ];
  test.each(documents)("%j", (json) => expect(said(cluster, json)).toEqual([]));

  test("extensions", () => {
    expect(said(filter, { name: "a", typed_config: { "@type": lua, inlineCode: "x" } })).toEqual([]);
    const empty = { "@type": "x/google.protobuf.Empty", value: {} };
    expect(said(filter, { typed_config: empty })).toEqual([]);
  });
});

const refused: readonly (readonly [json: unknown, expected: readonly string[]])[] = [
  [[], ["invalid : must be an object, not an array"]],
  [{ name: 1 }, ["invalid name: must be of type string, not 1"]],
  [{ connect_timeout: 5 }, ['invalid connect_timeout: must be a duration such as "1.5s", not 5']],
  [{ connect_timeout: "5" }, ['invalid connect_timeout: must be a duration such as "1.5s", not "5"']],
  [
    { per_connection_buffer_limit_bytes: -1 },
    ["invalid per_connection_buffer_limit_bytes: must be of type uint32, not -1"],
  ],
  [
    { per_connection_buffer_limit_bytes: 1.5 },
    ["invalid per_connection_buffer_limit_bytes: must be of type uint32, not 1.5"],
  ],
  [
    { per_connection_buffer_limit_bytes: 4294967296 },
    ["invalid per_connection_buffer_limit_bytes: must be of type uint32, not 4294967296"],
  ],
  [{ respect_dns_ttl: "true" }, ['invalid respect_dns_ttl: must be of type bool, not "true"']],
  [
    { lb_policy: "RANDM" },
    ['invalid lb_policy: "RANDM" is no value of envoy.config.cluster.v3.Cluster.LbPolicy (did you mean RANDOM?)'],
  ],
  [{ filters: {} }, ["invalid filters: must be a list, not an object"]],
  [{ metadata: { filter_metadata: [] } }, ["invalid metadata.filter_metadata: must be an object, not an array"]],
  [
    { conect_timeout: "5s" },
    ["unknown-field conect_timeout: no such field in envoy.config.cluster.v3.Cluster (did you mean connect_timeout?)"],
  ],
];
test.each(refused)("finds what is wrong in %j", (json, expected) => expect(said(cluster, json)).toEqual(expected));

test("an Any must name a type, and what it holds must fit it", () => {
  expect(said(filter, { typed_config: {} })).toEqual([
    "invalid typed_config.@type: is required: the type of what stands here",
  ]);
  expect(said(filter, { typed_config: { "@type": lua, inline_code: 1 } })).toEqual([
    "invalid typed_config.inline_code: must be of type string, not 1",
  ]);
  expect(said(filter, { typed_config: { "@type": "t/google.protobuf.StringValue" } })).toEqual([
    "invalid typed_config.value: is required for google.protobuf.StringValue",
  ]);
  expect(findJsonFaults(filter, { typed_config: { "@type": "t/a.b.C", x: 1 } })).toEqual([
    {
      path: ["typed_config", "@type"],
      kind: "unknown-type",
      reason: "unknown message type a.b.C",
      typeName: "a.b.C",
    },
  ]);
});
