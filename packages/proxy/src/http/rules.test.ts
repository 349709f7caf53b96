import { packAny } from "@meltemi/protos";
import type { HttpConnectionManager } from "@meltemi/protos/envoy/extensions/filters/network/http_connection_manager/v3";
import { describe, expect, it } from "vitest";
import { createTestEnv, createTestExchange, type TestRequest } from "../filters/test-exchange.ts";
import { ConfigError } from "../lib/config-error.ts";
import { createStatsRegistry } from "../lib/create-stats.ts";
import type { CertificateInfo, TlsInfo } from "../listeners/connection.ts";
import { UpstreamError, type UpstreamFailure } from "../upstream/types.ts";
import { formatHttpDate } from "./http-date.ts";
import { findLocalAddress } from "./local-address.ts";
import { applyPathRules } from "./path-rules.ts";
import { applyRequestRules } from "./request-rules.ts";
import { encodeGrpcMessage, grpcStatusOf, rescue } from "./rescue.ts";
import { compileSettings } from "./settings.ts";

const env = createTestEnv(createStatsRegistry());

/** Headers of a request after the rules; ":" ones are its parts. */
function apply(wire: HttpConnectionManager, request: TestRequest, internalOnly?: readonly string[]) {
  const settings = compileSettings({ stat_prefix: "test", ...wire }, env);
  const { exchange } = createTestExchange(request, { env, perRoute: [], route: "none", id: 1 });
  const target = { ...exchange, request: exchange.request, info: exchange.info, connection: exchange.connection };
  const reply = applyRequestRules(settings.rules, { ...target, namesScheme: false }, internalOnly);
  const { headers, path, authority, scheme } = exchange.request;
  return { reply, headers: Object.fromEntries([...headers]), path, authority, scheme, info: exchange.info };
}

const any = { present: { value: true } } as const;

// As Envoy 1.40 answers with normalize_path, merge_slashes and UNESCAPE_AND_FORWARD.
const normalized: readonly (readonly [path: string, expected: string | number])[] = [
  ["/a/../b", "/b"],
  ["/a/%2e%2e/b", "/b"],
  ["/%41%7e%2d%5f", "/A~-_"],
  ["/a//b///c", "/a/b/c"],
  ["/a%2fb%5Cc", "/a/b/c"],
  ["/a\\b", "/a/b"],
  ["/a/./b/", "/a/b/"],
  ["/a/..", "/"],
  ["/../x", "/x"],
  ["/a%2F../b", "/b"],
  ["/a?x/../y", "/a?x/../y"],
  ["/%zz", "/%zz"],
  ["/%00", 400],
  ["/a#b", 400],
  ["/a|b", "/a%7Cb"],
  ['/"<>', "/%22%3C%3E"],
  ["/a%2f%2fb", "/a/b"],
  ["/a%c3%a9", "/a%c3%a9"],
  ["/..;/a", "/a"],
  ["/b/..;x/a", "/a"],
  ["/b/.;/a", "/b/a"],
  ["/b;c/d", "/b;c/d"],
  ["/b/..;", "/"],
  ["/b/%2e%2e;x/c", "/b/..;x/c"],
  ["/b/...;/a", "/b/...;/a"],
  ["/b/..%3b/a", "/b/..%3b/a"],
  ["/a/b/..//c", "/a/c"],
  ["/%2e", "/"],
  ["/a%20b", "/a%20b"],
  ["/a/%2E./b", "/b"],
  ["/a/.%2e", "/"],
  ["/a^b`{}", "/a%5Eb%60%7B%7D"],
  ["/a'()!*$&+,=:@;[]", "/a'()!*$&+,=:@;[]"],
  ["/a%7f", "/a%7f"],
  ["/%2f%2f", "//"],
  ["//?a//b", "//?a//b"],
];

describe("paths", () => {
  it.each(normalized)("%s becomes %s", (path, expected) => {
    const result = applyPathRules(path, { normalizes: true, mergesSlashes: true, escapedSlashes: "forward" });
    expect("path" in result ? result.path : result.reply.status).toBe(expected);
  });

  it.each([
    ["keep", "/a%2fb", "/a%2fb"],
    ["reject", "/a%2fb", 400],
    ["reject", "/a?%2f", "/a?%2f"],
    ["redirect", "/a%5cb?q", 307],
    ["forward", "/a%2Fb", "/a/b"],
  ] as const)("escaped slashes: %s %s gives %s", (escapedSlashes, path, expected) => {
    const result = applyPathRules(path, { normalizes: false, mergesSlashes: false, escapedSlashes });
    expect("path" in result ? result.path : result.reply.status).toBe(expected);
  });

  it("says where an unescaped path is", () => {
    const result = applyPathRules("/a%2f../b?q", {
      normalizes: true,
      mergesSlashes: false,
      escapedSlashes: "redirect",
    });
    expect("reply" in result && result.reply.headers?.get("location")).toBe("/b?q");
  });
});

describe("clients", () => {
  const local = findLocalAddress();

  it("takes the peer for the client, and names it", () => {
    const { headers } = apply(
      { use_remote_address: { value: true } },
      { client: "9.8.7.6", headers: { "x-forwarded-proto": "https" } },
    );
    expect(headers).toMatchObject({
      "x-forwarded-for": "9.8.7.6",
      "x-forwarded-proto": "http",
      "x-envoy-external-address": "9.8.7.6",
    });
    expect(headers["x-request-id"]).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4/);
  });

  it("adds this machine's address for a peer on the loopback", () => {
    const wire: HttpConnectionManager = { use_remote_address: { value: true }, append_x_forwarded_port: true };
    const { headers } = apply(wire, { client: "127.0.0.1", headers: { "x-forwarded-for": "10.1.1.1" } });
    expect(headers["x-forwarded-for"]).toBe(`10.1.1.1,${local}`);
    expect(headers["x-forwarded-port"]).toBe("80");
  });

  it("trusts as many proxies as it is told to", () => {
    const wire: HttpConnectionManager = { use_remote_address: { value: true }, xff_num_trusted_hops: 1 };
    const { headers, info } = apply(wire, {
      client: "9.8.7.6",
      headers: { "x-forwarded-for": "1.1.1.1, 10.1.1.1", "x-forwarded-proto": "https" },
    });
    expect(headers["x-envoy-external-address"]).toBe("10.1.1.1");
    expect(headers["x-forwarded-proto"]).toBe("https");
    expect(info.remoteAddress).toEqual({ ip: "10.1.1.1", port: 0 });
  });

  it("reads the client from x-forwarded-for where the peer is not taken for it", () => {
    const { headers, info } = apply(
      {},
      { headers: { "x-forwarded-for": "1.1.1.1, 10.1.1.1", "x-envoy-original-path": "/k" } },
    );
    expect(info.remoteAddress?.ip).toBe("10.1.1.1");
    expect(headers["x-forwarded-for"]).toBe("1.1.1.1, 10.1.1.1");
    expect(headers["x-forwarded-proto"]).toBe("http");
    // Only the first proxy of a mesh takes this one away.
    expect(headers["x-envoy-original-path"]).toBe("/k");
  });

  it("lets internal clients steer the router, and no others", () => {
    const wire: HttpConnectionManager = {
      use_remote_address: { value: true },
      internal_address_config: { cidr_ranges: [{ address_prefix: "10.0.0.0", prefix_len: { value: 8 } }] },
    };
    const headers = {
      "x-envoy-retry-on": "5xx",
      "x-envoy-internal": "true",
      "x-envoy-external-address": "9.9.9.9",
      "x-route": "1",
    };
    const inside = apply(wire, { client: "10.1.2.3", headers }, ["x-route"]).headers;
    expect(inside).toMatchObject({ "x-envoy-internal": "true", "x-envoy-retry-on": "5xx", "x-route": "1" });
    expect(inside["x-envoy-external-address"]).toBe("9.9.9.9");
    const outside = apply(wire, { client: "9.8.7.6", headers }, ["x-route"]).headers;
    expect(outside["x-envoy-internal"]).toBeUndefined();
    expect(outside["x-envoy-retry-on"]).toBeUndefined();
    expect(outside["x-route"]).toBeUndefined();
  });

  it("keeps a request id from outside only where it is told to", () => {
    const request: TestRequest = { client: "9.8.7.6", headers: { "x-request-id": "abc" } };
    expect(apply({ use_remote_address: { value: true } }, request).headers["x-request-id"]).not.toBe("abc");
    expect(apply({}, request).headers["x-request-id"]).toBe("abc");
    const kept: HttpConnectionManager = { use_remote_address: { value: true }, preserve_external_request_id: true };
    expect(apply(kept, request).headers["x-request-id"]).toBe("abc");
    expect(apply({ generate_request_id: { value: false } }, {}).headers["x-request-id"]).toBeUndefined();
  });
});

describe("what proxies say of clients", () => {
  // As Envoy 1.40 answers: what is no address alone names nobody.
  it.each([
    ["1.2.3.4", "1.2.3.4"],
    ["FD00::1", "fd00::1"],
    [" 1.2.3.4 ", "1.2.3.4"],
    ["1.2.3.4:55", undefined],
    ["[::1]:5", undefined],
    ["[fd00::1]", undefined],
    ["5.6.7.8, 10.1.1.1:80", undefined],
    ["garbage", undefined],
  ])("takes x-forwarded-for: %s for %s", (forwarded, expected) => {
    const request: TestRequest = { client: "9.8.7.6", headers: { "x-forwarded-for": forwarded } };
    expect(apply({}, request).info.remoteAddress?.ip).toBe(expected);
    const edge = apply({ use_remote_address: { value: true }, xff_num_trusted_hops: 1 }, request);
    expect(edge.headers["x-envoy-external-address"]).toBe(expected ?? "9.8.7.6");
    const internal: HttpConnectionManager = {
      internal_address_config: { cidr_ranges: [{ address_prefix: "10.0.0.0", prefix_len: { value: 8 } }] },
    };
    const claimed: TestRequest = { client: "9.8.7.6", headers: { "x-forwarded-for": "10.1.1.1:80" } };
    expect(apply(internal, claimed).headers["x-envoy-internal"]).toBeUndefined();
  });

  it("names a peer of the loopback's network that is not the loopback", () => {
    const { headers } = apply({ use_remote_address: { value: true } }, { client: "127.0.0.6" });
    expect(headers["x-forwarded-for"]).toBe("127.0.0.6");
  });

  it.each([
    [{}, "80"],
    [{ "x-forwarded-port": "7" }, "7"],
  ])("adds its port where proxies before it have not: %j", (headers, expected) => {
    const answer = apply({ append_x_forwarded_port: true }, { client: "9.8.7.6", headers });
    expect(answer.headers["x-forwarded-port"]).toBe(expected);
    expect(apply({}, { client: "9.8.7.6" }).headers["x-forwarded-port"]).toBeUndefined();
  });

  it("reads the client from a header of its own, and leaves x-forwarded-for alone", () => {
    const typed_config = packAny("envoy.extensions.http.original_ip_detection.custom_header.v3.CustomHeaderConfig", {
      header_name: "X-Real-IP",
      reject_with_status: { code: "Unauthorized" },
    });
    const wire: HttpConnectionManager = { original_ip_detection_extensions: [{ name: "own", typed_config }] };
    const named = apply(wire, { client: "9.8.7.6", headers: { "x-real-ip": "8.8.8.8", "x-forwarded-for": "1.1.1.1" } });
    expect(named.info.remoteAddress?.ip).toBe("8.8.8.8");
    expect(named.headers["x-forwarded-for"]).toBe("1.1.1.1");
    expect(apply(wire, { headers: { "x-real-ip": "8.8.8.8" } }).headers["x-forwarded-for"]).toBeUndefined();
    const refused = apply(wire, { headers: { "x-real-ip": "8.8.8.8:99" } });
    expect(refused.reply).toMatchObject({ status: 401, details: "rejecting_because_detection_failed" });
  });
});

describe("hosts and schemes", () => {
  it.each([
    [{ strip_any_host_port: true }, "a:8080", "a"],
    [{ strip_any_host_port: true }, "[::1]:80", "[::1]"],
    [{ strip_matching_host_port: true }, "a:80", "a"],
    [{ strip_matching_host_port: true }, "a:81", "a:81"],
    [{ strip_trailing_host_dot: true }, "a.:80", "a:80"],
    [{}, "a.:80", "a.:80"],
  ] satisfies readonly [HttpConnectionManager, string, string][])("%j makes %s %s", (wire, authority, expected) => {
    expect(apply(wire, { authority }).authority).toBe(expected);
  });

  it("sets the scheme as told, or by x-forwarded-proto", () => {
    expect(apply({ scheme_header_transformation: { scheme_to_overwrite: "https" } }, {}).scheme).toBe("https");
    expect(apply({}, { headers: { "x-forwarded-proto": "https" } }).scheme).toBe("https");
    expect(apply({}, { headers: { "x-forwarded-proto": "ftp" } }).scheme).toBe("http");
  });

  it("refuses a path that is none", () => {
    expect(apply({}, { method: "OPTIONS", path: "*" }).reply).toMatchObject({
      status: 404,
      details: "absolute_path_rejected",
    });
  });

  it("finds no route where x-forwarded-proto is empty", () => {
    const { reply } = apply({}, { headers: { "x-forwarded-proto": "" } });
    expect(reply).toMatchObject({ status: 404, flags: ["NR"], details: "route_not_found" });
  });
});

const certificate: CertificateInfo = {
  subject: 'CN="x",O=y',
  issuer: "",
  serialNumber: "1",
  sha256: "abcd",
  uriSans: ["spiffe://td/ns/a/sa/b"],
  dnsSans: ["a.b", "c.d"],
  ipSans: [],
  validFromMs: 0,
  validToMs: 1,
  pem: "-----BEGIN CERTIFICATE-----\nQQ==\n-----END CERTIFICATE-----\n",
};
const tls: TlsInfo = {
  version: "TLSv1.3",
  cipher: "",
  sni: "",
  alpn: "",
  sessionId: "",
  local: { ...certificate, uriSans: ["spiffe://td/ns/l/sa/m"] },
  peer: certificate,
  isPeerVerified: true,
};

describe("x-forwarded-client-cert", () => {
  const before = { "x-forwarded-client-cert": "By=old" };
  const details = { subject: { value: true }, uri: true, dns: true };
  const element =
    'By=spiffe://td/ns/l/sa/m;Hash=abcd;Subject="CN=\\"x\\",O=y";URI=spiffe://td/ns/a/sa/b;DNS=a.b;DNS=c.d';
  it.each([
    ["SANITIZE", tls, undefined],
    ["FORWARD_ONLY", tls, "By=old"],
    ["FORWARD_ONLY", undefined, undefined],
    ["ALWAYS_FORWARD_ONLY", undefined, "By=old"],
    ["APPEND_FORWARD", tls, `By=old,${element}`],
    ["SANITIZE_SET", tls, element],
    ["SANITIZE_SET", { ...tls, peer: undefined }, undefined],
  ] as const)("%s", (forward, info, expected) => {
    const wire: HttpConnectionManager = {
      forward_client_cert_details: forward,
      set_current_client_cert_details: details,
    };
    const { headers } = apply(wire, info === undefined ? { headers: before } : { headers: before, tls: info });
    expect(headers["x-forwarded-client-cert"]).toBe(expected);
  });
});

describe("rescue", () => {
  it.each([
    ["no-cluster", 503, "cluster_not_found", "NC"],
    ["no-healthy-upstream", 503, "no_healthy_upstream", "UH"],
    ["overflow", 503, "upstream_reset_before_response_started{overflow}", "UO"],
    [
      "connection-failure",
      503,
      "upstream_reset_before_response_started{remote_connection_failure|refused_by_peer}",
      "UF",
    ],
    ["protocol-error", 502, "upstream_reset_before_response_started{protocol_error|refused_by_peer}", "UPE"],
  ] satisfies readonly [UpstreamFailure, number, string, string][])("%s", (failure, status, details, flag) => {
    const transportFailure = details.includes("|") ? "refused by peer" : "";
    const result = rescue(new UpstreamError(failure, { transportFailure }));
    expect(result).toMatchObject({ kind: "reply", reply: { status, details, flags: [flag] } });
  });

  it("knows gRPC's table and encoding", () => {
    expect([400, 401, 403, 404, 429, 500, 503, 504].map(grpcStatusOf)).toEqual([13, 16, 7, 12, 14, 2, 14, 14]);
    expect(encodeGrpcMessage("100% ü\n")).toBe("100%25 %C3%BC%0A");
  });

  it("writes dates", () => {
    expect(formatHttpDate(784_111_777)).toBe("Sun, 06 Nov 1994 08:49:37 GMT");
    expect(formatHttpDate(1_709_164_800)).toBe("Thu, 29 Feb 2024 00:00:00 GMT");
  });
});

describe("configuration", () => {
  it.each([
    [{ codec_type: "HTTP3" }, "codec_type"],
    [{ stat_prefix: "" }, "stat_prefix"],
    [{ scoped_routes: {} }, "scoped_routes"],
    [{ strip_any_host_port: true, strip_matching_host_port: true }, "strip_any_host_port"],
    [
      { http2_protocol_options: { max_concurrent_streams: { value: 0 } } },
      "http2_protocol_options.max_concurrent_streams",
    ],
    [
      { original_ip_detection_extensions: [{ typed_config: any }], use_remote_address: { value: true } },
      "original_ip_detection_extensions",
    ],
  ] as readonly [HttpConnectionManager, string][])("refuses %j at %s", (wire, path) => {
    const compile = (): unknown => compileSettings({ stat_prefix: "test", ...wire }, env);
    expect(compile).toThrow(ConfigError);
    expect(compile).toThrow(path);
  });
});
