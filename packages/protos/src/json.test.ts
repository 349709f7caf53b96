import { describe, expect, it } from "vitest";
import { packAny } from "./any.ts";
import { bool, double, duration, durationToMs, str, struct, structToJson, u32 } from "./builders.ts";
import { fromJson } from "./from-json.ts";
import { toJson } from "./to-json.ts";
import { findUnknownKeys } from "./verify.ts";

const CLUSTER = "envoy.config.cluster.v3.Cluster";
const SECRET = "envoy.extensions.transport_sockets.tls.v3.Secret";
const REDACTED_BASE64 = "W3JlZGFjdGVkXQ==";

const opaqueAny = { type_url: "type.googleapis.com/a.Filter", value: Uint8Array.from([1, 2, 3]) };

describe("toJson", () => {
  it("renders a resource as Envoy's config dump shows it", () => {
    const json = toJson(CLUSTER, {
      name: "outbound|80||a",
      type: "STATIC",
      connect_timeout: duration(10_250),
      common_lb_config: { healthy_panic_threshold: {} },
      circuit_breakers: { thresholds: [{ max_retries: u32(4294967295), max_requests: u32(0) }] },
      metadata: { filter_metadata: { istio: struct({ services: [{ host: "a" }], weight: 1, none: null }) } },
      transport_socket: {
        name: "raw",
        typed_config: packAny("envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer", {}),
      },
      alt_stat_name: "",
      health_checks: [],
    });
    expect(json).toEqual({
      name: "outbound|80||a",
      type: "STATIC",
      connect_timeout: "10.250s",
      common_lb_config: { healthy_panic_threshold: {} },
      circuit_breakers: { thresholds: [{ max_retries: 4294967295, max_requests: 0 }] },
      metadata: { filter_metadata: { istio: { services: [{ host: "a" }], weight: 1, none: null } } },
      transport_socket: {
        name: "raw",
        typed_config: { "@type": "type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer" },
      },
    });
  });

  it("renders 64-bit integers as strings", () => {
    const json = toJson("envoy.config.route.v3.RetryPolicy", { host_selection_retry_max_attempts: 5 });
    expect(json).toEqual({ host_selection_retry_max_attempts: "5" });
  });

  it("keeps the value of a well-known message inside an Any", () => {
    const any = packAny("google.protobuf.StringValue", str("x"));
    const json = toJson("google.protobuf.Any", any);
    expect(json).toEqual({ "@type": "type.googleapis.com/google.protobuf.StringValue", value: "x" });
    expect(fromJson("google.protobuf.Any", json)).toEqual(any);
  });

  it("shows an Any of unknown type by its bytes, and reads that back", () => {
    const json = toJson("google.protobuf.Any", opaqueAny);
    expect(json).toEqual({ "@type": "type.googleapis.com/a.Filter", value: "AQID" });
    expect(fromJson("google.protobuf.Any", json)).toEqual(opaqueAny);
  });

  it("lets the caller choose which Any stay closed, and how they look", () => {
    const any = packAny("google.protobuf.BoolValue", bool(true));
    const closed = { "@type": "type.googleapis.com/google.protobuf.BoolValue", value: "CAE=" };
    expect(toJson("google.protobuf.Any", any, { expandAny: false })).toEqual(closed);
    const opaqueTypes = new Set(["google.protobuf.BoolValue"]);
    expect(toJson("google.protobuf.Any", any, { opaqueTypes })).toEqual(closed);
    expect(toJson("google.protobuf.Any", any, { opaqueTypes, unknownAny: ({ type_url }) => type_url ?? "" })).toBe(
      "type.googleapis.com/google.protobuf.BoolValue",
    );
  });

  it("hides credentials but not certificates", () => {
    const secret = {
      name: "default",
      tls_certificate: {
        certificate_chain: { inline_string: "CERTIFICATE" },
        private_key: { inline_bytes: Buffer.from("PRIVATE") },
        password: { inline_string: "hunter2" },
        private_key_provider: { provider_name: "p", typed_config: packAny("google.protobuf.StringValue", str("pin")) },
      },
    };
    expect(toJson(SECRET, secret, { redactSecrets: true })).toEqual({
      name: "default",
      tls_certificate: {
        certificate_chain: { inline_string: "CERTIFICATE" },
        private_key: { inline_bytes: REDACTED_BASE64 },
        password: { inline_string: "[redacted]" },
        private_key_provider: {
          provider_name: "p",
          typed_config: { "@type": "type.googleapis.com/google.protobuf.StringValue", value: REDACTED_BASE64 },
        },
      },
    });
    expect(JSON.stringify(toJson(SECRET, secret))).toContain("hunter2");
  });

  it("hides session ticket keys and generic secrets, within an Any as well", () => {
    const any = packAny(SECRET, { session_ticket_keys: { keys: [{ inline_string: "ticket" }] } });
    const generic = packAny(SECRET, { generic_secret: { secret: { inline_string: "token" } } });
    for (const packed of [any, generic]) {
      expect(JSON.stringify(toJson("google.protobuf.Any", packed, { redactSecrets: true }))).not.toMatch(
        /ticket"|token/,
      );
    }
  });
});

describe("fromJson", () => {
  it("takes snake_case and lowerCamelCase, numbers as strings and wrappers bare", () => {
    const wanted = { connect_timeout: { seconds: 1 }, per_connection_buffer_limit_bytes: { value: 32768 } };
    expect(fromJson(CLUSTER, { connect_timeout: "1s", per_connection_buffer_limit_bytes: 32768 })).toEqual(wanted);
    expect(fromJson(CLUSTER, { connectTimeout: "1s", perConnectionBufferLimitBytes: "32768" })).toEqual(wanted);
  });

  it("packs an Any by its type", () => {
    const router = "envoy.extensions.filters.http.router.v3.Router";
    const json = { "@type": `type.googleapis.com/${router}`, suppressEnvoyHeaders: true };
    expect(fromJson("google.protobuf.Any", json)).toEqual(packAny(router, { suppress_envoy_headers: true }));
  });

  it.each([
    [
      { load_assigment: {} },
      "load_assigment: no such field in envoy.config.cluster.v3.Cluster (did you mean load_assignment?)",
    ],
    [{ type: "EDDS" }, 'type: "EDDS" is no value of'],
    [{ connect_timeout: "1 s" }, "connect_timeout: expected a duration"],
    [{ connect_timeout: 1 }, "connect_timeout: expected a duration"],
    [{ type: "EDS", cluster_type: {} }, "cluster_type: set together with type"],
    [{ connect_timeout: "1s", connectTimeout: "2s" }, "connectTimeout: set twice"],
    [{ per_connection_buffer_limit_bytes: -1 }, "per_connection_buffer_limit_bytes: expected an integer from 0"],
    [{ health_checks: [{}, { timeout: "x" }] }, "health_checks[1].timeout: expected a duration"],
    [
      { transport_socket: { typed_config: { name: "x" } } },
      'transport_socket.typed_config: an Any needs its type in "@type"',
    ],
    [
      { transport_socket: { typed_config: { "@type": "type.googleapis.com/a.B", x: 1 } } },
      "transport_socket.typed_config.@type: unknown message type a.B",
    ],
  ])("names the place of a mistake: %j", (json, message) => {
    expect(() => fromJson(CLUSTER, json)).toThrow(`${CLUSTER}.${message}`);
  });

  it("reads null as unset, save in a Value", () => {
    expect(fromJson(CLUSTER, { name: null })).toEqual({});
    expect(fromJson("google.protobuf.Struct", { a: null })).toEqual({ fields: { a: { null_value: "NULL_VALUE" } } });
  });
});

describe("findUnknownKeys", () => {
  it("lists every mistake at once", () => {
    const problems = findUnknownKeys(CLUSTER, {
      naem: "x",
      type: "EDS",
      cluster_type: {},
      lb_policy: "ROUND",
      connect_timeout: { seconds: "soon" },
      health_checks: {},
      metadata: { filter_metadata: { istio: { fields: { a: { stringValue: "x" } } } } },
    });
    expect(problems.map((problem) => problem.replace(`${CLUSTER}.`, "").split(": ")[0])).toEqual([
      "naem",
      "cluster_type",
      "lb_policy",
      "connect_timeout.seconds",
      "health_checks",
      'metadata.filter_metadata["istio"].fields["a"].stringValue',
    ]);
  });

  it("finds nothing wrong with undefined members", () => {
    expect(findUnknownKeys(CLUSTER, { name: undefined, health_checks: [], type: "EDS" })).toEqual([]);
  });
});

describe("builders", () => {
  it("turn milliseconds into durations and back", () => {
    for (const ms of [0, 1, 250, 1000, 10_250, 86_400_000, -1500, 0.001]) expect(durationToMs(duration(ms))).toBe(ms);
    expect(durationToMs(undefined)).toBeUndefined();
  });

  it("give the form that decoding gives", () => {
    expect([u32(0), bool(false), str(""), double(0), duration(0), struct({})]).toEqual([{}, {}, {}, {}, {}, {}]);
    expect(structToJson(struct({ a: [1, { b: null }], c: undefined }))).toEqual({ a: [1, { b: null }] });
  });
});
