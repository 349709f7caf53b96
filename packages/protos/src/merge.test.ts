import { expect, test } from "vitest";
import { fromJson, fromJsonDynamic } from "./from-json.ts";
import { type MergeOptions, mergeMessages } from "./merge.ts";
import { relaxJson } from "./relax-json.ts";
import { toJsonDynamic } from "./to-json.ts";

const cluster = "envoy.config.cluster.v3.Cluster";

function merge(into: unknown, from: unknown, options: MergeOptions = {}): unknown {
  const [a, b] = [fromJsonDynamic(cluster, into), fromJsonDynamic(cluster, from)];
  return toJsonDynamic(cluster, mergeMessages(cluster, [a, b], options));
}

const raw = { "@type": "type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer" };
const tls = {
  "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
  sni: "a",
};

test.each<[string, unknown, unknown, unknown]>([
  [
    "a scalar wins where it is set",
    { name: "a", alt_stat_name: "x" },
    { name: "b" },
    { name: "b", alt_stat_name: "x" },
  ],
  [
    "a default without presence is not set",
    { name: "a" },
    { name: "", close_connections_on_host_health_failure: false },
    { name: "a" },
  ],
  [
    "the first value of an enum is not set",
    { lb_policy: "RANDOM" },
    { lb_policy: "ROUND_ROBIN" },
    { lb_policy: "RANDOM" },
  ],
  [
    "a wrapped value of zero takes nothing away",
    { max_requests_per_connection: 7 },
    { max_requests_per_connection: 0 },
    { max_requests_per_connection: 7 },
  ],
  [
    "a wrapped value of zero is set where there was none",
    {},
    { max_requests_per_connection: 0 },
    { max_requests_per_connection: 0 },
  ],
  [
    "a duration is replaced as a whole",
    { connect_timeout: "1.5s" },
    { connect_timeout: "2s" },
    { connect_timeout: "2s" },
  ],
  [
    "lists are appended",
    { circuit_breakers: { thresholds: [{ max_requests: 1 }] } },
    { circuit_breakers: { thresholds: [{ max_requests: 2 }] } },
    { circuit_breakers: { thresholds: [{ max_requests: 1 }, { max_requests: 2 }] } },
  ],
  [
    "of a choice the last one stays",
    { ring_hash_lb_config: { minimum_ring_size: 8 } },
    { least_request_lb_config: { choice_count: 3 } },
    { least_request_lb_config: { choice_count: 3 } },
  ],
  [
    "messages of one choice are merged",
    { ring_hash_lb_config: { minimum_ring_size: 8 } },
    { ring_hash_lb_config: { maximum_ring_size: 9 } },
    { ring_hash_lb_config: { minimum_ring_size: "8", maximum_ring_size: "9" } },
  ],
  [
    "entries of maps are replaced",
    { metadata: { filter_metadata: { a: { x: 1 }, b: { y: 1 } } } },
    { metadata: { filter_metadata: { a: { z: 1 } } } },
    { metadata: { filter_metadata: { a: { z: 1 }, b: { y: 1 } } } },
  ],
  [
    "an Any of another type is replaced",
    { transport_socket: { name: "t", typed_config: tls } },
    { transport_socket: { name: "r", typed_config: raw } },
    { transport_socket: { name: "r", typed_config: raw } },
  ],
  [
    "an empty Any of the same type changes nothing",
    { transport_socket: { name: "t", typed_config: tls } },
    { transport_socket: { typed_config: { "@type": tls["@type"] } } },
    { transport_socket: { name: "t", typed_config: tls } },
  ],
])("%s", (_name, into, from, merged) => {
  expect(merge(into, from)).toEqual(merged);
});

test("lists take the place of others at every depth where that is asked for, empty ones do not", () => {
  const into = { circuit_breakers: { thresholds: [{ max_requests: 1 }] }, filters: [{ name: "a" }] };
  const from = { circuit_breakers: { thresholds: [{ max_requests: 2 }] }, filters: [] };
  const merged = { circuit_breakers: { thresholds: [{ max_requests: 2 }] }, filters: [{ name: "a" }] };
  expect(merge(into, from, { replaceLists: true })).toEqual(merged);
});

test("neither message is changed, and what stays is shared", () => {
  const into = Object.freeze(fromJson(cluster, { name: "a", circuit_breakers: {}, metadata: {} }));
  const from = Object.freeze(fromJson(cluster, { name: "b", metadata: {} }));
  const merged = mergeMessages(cluster, [{ ...into }, { ...from }]);
  expect(into.name).toBe("a");
  expect(merged["circuit_breakers"]).toBe(into.circuit_breakers);
});

test.each([
  ["1m30s", "90.000000000s"],
  ["100ms", "0.100000000s"],
  ["-1.5h", "-5400.000000000s"],
  [".5s", "0.500000000s"],
  ["0", "0.000000000s"],
  ["soon", "soon"],
])("the duration %s is read as %s", (text, seconds) => {
  expect(relaxJson(cluster, { connect_timeout: text })).toEqual({ connect_timeout: seconds });
});

test("JSON is relaxed: unknown fields go, of a choice and of two spellings the last stays", () => {
  const json = {
    newer: 1,
    connectTimeout: "1s",
    connect_timeout: "2s",
    ring_hash_lb_config: {},
    least_request_lb_config: { choice_count: "3", newer: [] },
    metadata: null,
  };
  expect(relaxJson(cluster, json)).toEqual({
    connect_timeout: "2.000000000s",
    least_request_lb_config: { choice_count: "3" },
  });
});

test("a configuration of a type that is not known goes to Envoy as JSON", () => {
  const config = { "@type": "type.googleapis.com/envoy.extensions.filters.http.newer.v3.Newer", a: [1] };
  const relaxed = relaxJson("envoy.config.core.v3.TypedExtensionConfig", { name: "a", typed_config: config });
  const message = fromJson("envoy.config.core.v3.TypedExtensionConfig", relaxed);
  expect(toJsonDynamic("envoy.config.core.v3.TypedExtensionConfig", message)).toEqual({
    name: "a",
    typed_config: {
      "@type": "type.googleapis.com/xds.type.v3.TypedStruct",
      type_url: config["@type"],
      value: { a: [1] },
    },
  });
});
