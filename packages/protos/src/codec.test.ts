import { readFileSync } from "node:fs";
import fc from "fast-check";
import protobuf from "protobufjs";
import { toJson as referenceToJson } from "protobufjs/ext/protojson.js";
import { describe, expect, it } from "vitest";
import { arbitraryMessage } from "../build/arbitrary-message.ts";
import { loadProtos } from "../build/load-protos.ts";
import { packAny, unpackAny, unpackAs } from "./any.ts";
import { duration, struct, u32 } from "./builders.ts";
import { decode, decodeDynamic } from "./decode.ts";
import { encode, encodeDynamic } from "./encode.ts";
import { hasPresence, isPacked, isSensitive, keyTypeOf, oneofOf } from "./field-traits.ts";
import { fromJsonDynamic } from "./from-json.ts";
import { findMessage, listTypeNames } from "./schema.ts";
import { toJsonDynamic } from "./to-json.ts";
import { findUnknownKeys } from "./verify.ts";

const DESCRIPTORS = new URL("../gen/descriptors.json", import.meta.url);
const CLUSTER = "envoy.config.cluster.v3.Cluster";

/** An implementation that shares nothing with ours but the .proto files. */
const reference = loadProtos({ camelCase: true });

const TYPES = [
  CLUSTER,
  "envoy.config.listener.v3.Listener",
  "envoy.config.route.v3.RouteConfiguration",
  "envoy.config.endpoint.v3.ClusterLoadAssignment",
  "envoy.config.bootstrap.v3.Bootstrap",
  "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
  "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
  "envoy.extensions.transport_sockets.tls.v3.Secret",
  "envoy.service.discovery.v3.DeltaDiscoveryRequest",
  "envoy.service.status.v3.ClientConfig",
  "opentelemetry.proto.common.v1.AnyValue",
  "istio.networking.nds.v1.NameTable",
  "google.protobuf.Struct",
];

describe("encode and decode", () => {
  it.each(TYPES)("give back what went in, and stable bytes: %s", (typeName) => {
    fc.assert(
      fc.property(arbitraryMessage(typeName), (message) => {
        const bytes = encodeDynamic(typeName, message);
        const decoded = decodeDynamic(typeName, bytes);
        expect(decoded).toEqual(message);
        expect(encodeDynamic(typeName, decoded)).toEqual(bytes);
        expect(findUnknownKeys(typeName, message)).toEqual([]);
      }),
      { numRuns: 60 },
    );
  });

  it.each(TYPES)("agree with another implementation on bytes and JSON: %s", (typeName) => {
    const type = reference.lookupType(typeName);
    fc.assert(
      fc.property(arbitraryMessage(typeName), (message) => {
        const theirs = type.decode(encodeDynamic(typeName, message));
        expect(decodeDynamic(typeName, type.encode(theirs).finish())).toEqual(message);
        const json = toJsonDynamic(typeName, message, { preserveNames: false });
        expect(json).toEqual(referenceToJson(type, theirs));
        expect(fromJsonDynamic(typeName, json)).toEqual(message);
        expect(fromJsonDynamic(typeName, toJsonDynamic(typeName, message))).toEqual(message);
      }),
      { numRuns: 40 },
    );
  });

  it("know every message the trees define, each with a working codec", () => {
    for (const typeName of listTypeNames()) expect(decodeDynamic(typeName, encodeDynamic(typeName, {}))).toEqual({});
    expect(listTypeNames().length).toBeGreaterThan(1000);
  });
});

describe("encode", () => {
  it("gives equal bytes whatever the order of members and map entries", () => {
    const one = encode(CLUSTER, {
      name: "a",
      connect_timeout: duration(1500),
      metadata: { filter_metadata: { istio: struct({ x: 1, y: 2 }), other: {} } },
    });
    const two = encode(CLUSTER, {
      metadata: { filter_metadata: { other: {}, istio: struct({ y: 2, x: 1 }) } },
      connect_timeout: duration(1500),
      name: "a",
    });
    expect(two).toEqual(one);
  });

  it("leaves out undefined members and the defaults of fields without presence", () => {
    const message = {
      name: "",
      type: "STATIC",
      alt_stat_name: undefined,
      outlier_detection: { interval: {} },
    } as const;
    const decoded = decode(CLUSTER, encode(CLUSTER, message));
    // `type` is in a oneof, so its default value says something.
    expect(decoded).toEqual({ type: "STATIC", outlier_detection: { interval: {} } });
  });

  it("carries fields newer than the Envoy tree", () => {
    const bytes = encode(CLUSTER, { dns_jitter: duration(100) });
    expect(Buffer.from(bytes).toString("hex")).toBe("d20305" + "1080c2d72f");
  });

  it("names the place of an unknown field, enum value or wrong type", () => {
    const endpoint = { endpoint: { address: { socket_address: { adress: "x" } } } };
    const message = { load_assignment: { endpoints: [{}, { lb_endpoints: [endpoint] }] } };
    expect(() => encodeDynamic(CLUSTER, message)).toThrow(
      `${CLUSTER}.load_assignment.endpoints[1].lb_endpoints[0].endpoint.address.socket_address.adress: ` +
        "no such field in envoy.config.core.v3.SocketAddress (did you mean address?)",
    );
    expect(() => encodeDynamic(CLUSTER, { type: "EDDS" })).toThrow('Cluster.type: "EDDS" is no value of');
    expect(() => encodeDynamic(CLUSTER, { connect_timeout: { seconds: 1.5 } })).toThrow("connect_timeout.seconds");
    expect(() => encodeDynamic(CLUSTER, { circuit_breakers: { thresholds: {} } })).toThrow("expected an array");
    expect(() => encodeDynamic("envoy.Nothing", {})).toThrow("envoy.Nothing: unknown message type");
  });

  it("recovers after a failure half-way", () => {
    const before = encode(CLUSTER, { name: "a" });
    expect(() => encodeDynamic(CLUSTER, { name: "a", nothing: 1 })).toThrow("nothing");
    expect(encode(CLUSTER, { name: "a" })).toEqual(before);
  });
});

describe("decode", () => {
  it("keeps enum values newer than the definitions as numbers", () => {
    const bytes = encodeDynamic(CLUSTER, { type: 99 });
    expect(decodeDynamic(CLUSTER, bytes)).toEqual({ type: 99 });
  });

  it("refuses truncated bytes at every length", () => {
    const bytes = encode(CLUSTER, { name: "abc", circuit_breakers: { thresholds: [{ max_retries: u32(300) }] } });
    const whole = decode(CLUSTER, bytes);
    for (let length = 1; length < bytes.length; length++) {
      let result: unknown = "refused";
      try {
        result = decode(CLUSTER, bytes.subarray(0, length));
      } catch (cause) {
        expect(cause).toHaveProperty("name", "ProtoError");
      }
      expect(result).not.toEqual(whole);
    }
  });

  it("takes the last member of a oneof and merges a message that comes twice", () => {
    const first = encode(CLUSTER, { type: "EDS", eds_cluster_config: { service_name: "s" } });
    const second = encode(CLUSTER, { cluster_type: { name: "t" }, eds_cluster_config: { eds_config: { ads: {} } } });
    expect(decode(CLUSTER, Buffer.concat([first, second]))).toEqual({
      cluster_type: { name: "t" },
      eds_cluster_config: { service_name: "s", eds_config: { ads: {} } },
    });
  });

  it("skips fields it does not know", () => {
    const unknown = Uint8Array.from([0xfa, 0x7f, 0x02, 0x68, 0x69]);
    const group = Uint8Array.from([0xfb, 0x7f, 0x08, 0x01, 0xfc, 0x7f]);
    const known = encode(CLUSTER, { name: "a" });
    expect(decode(CLUSTER, Buffer.concat([unknown, group, known]))).toEqual({ name: "a" });
  });

  it("names the place of malformed bytes", () => {
    // A load assignment of two bytes, whose first field claims to have nine.
    const bytes = Uint8Array.from([0x8a, 0x02, 0x02, 0x0a, 0x09]);
    expect(() => decode(CLUSTER, bytes)).toThrow(`${CLUSTER}.load_assignment.cluster_name: index out of range`);
  });
});

describe("Any", () => {
  const router = "envoy.extensions.filters.http.router.v3.Router";

  it("packs and unpacks by type", () => {
    const any = packAny(router, { suppress_envoy_headers: true });
    expect(any.type_url).toBe(`type.googleapis.com/${router}`);
    expect(unpackAny(any)).toEqual({ typeName: router, message: { suppress_envoy_headers: true } });
    expect(unpackAs(router, any)).toEqual({ suppress_envoy_headers: true });
    expect(unpackAs(CLUSTER, any)).toBeUndefined();
  });

  it("refuses to unpack a type it does not know", () => {
    expect(() => unpackAny({ type_url: "type.googleapis.com/a.B" })).toThrow("a.B: unknown message type");
  });
});

describe("findMessage", () => {
  it("gives every field the features it has in a tree resolved as a whole", () => {
    const whole = protobuf.Root.fromJSON(JSON.parse(readFileSync(DESCRIPTORS, "utf8")) as protobuf.INamespace);
    const features = (type: protobuf.Type): unknown =>
      type.fieldsArray.map((field) => [
        field.fullName,
        field.resolvedType?.fullName,
        hasPresence(field),
        isPacked(field),
        oneofOf(field),
        isSensitive(field),
        keyTypeOf(field),
      ]);
    for (const typeName of listTypeNames()) {
      expect(features(findMessage(typeName))).toEqual(features(whole.lookupType(`.${typeName}`)));
    }
  });
});
