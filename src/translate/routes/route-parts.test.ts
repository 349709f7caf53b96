import { toJson } from "@meltemi/protos";
import { describe, expect, it } from "vitest";
import type { CorsPolicy, DirectResponse, HttpFault, HttpRedirect } from "../../api/virtual-service/schema.ts";
import { buildCors } from "./cors.ts";
import { buildFault } from "./fault.ts";
import { buildDirectResponse, buildRedirect } from "./redirect.ts";

describe("buildFault", () => {
  const cases: readonly (readonly [HttpFault, unknown])[] = [
    [
      {
        delay: { percentage: { value: 12.5 }, fixedDelay: "7s" },
        abort: { percentage: { value: 0.1 }, httpStatus: 555 },
      },
      {
        delay: { fixed_delay: "7s", percentage: { numerator: 125000, denominator: "MILLION" } },
        abort: { http_status: 555, percentage: { numerator: 1000, denominator: "MILLION" } },
      },
    ],
    [
      { delay: { percent: 50, fixedDelay: "5ms" } },
      { delay: { fixed_delay: "0.005s", percentage: { numerator: 50 } } },
    ],
    [
      { abort: { grpcStatus: "UNAVAILABLE", percentage: { value: 100 } } },
      { abort: { grpc_status: 14, percentage: { numerator: 1000000, denominator: "MILLION" } } },
    ],
    [{ abort: { grpcStatus: "7" } }, { abort: { grpc_status: 7 } }],
  ];

  it.each(cases)("builds %j", (fault, expected) => {
    const built = buildFault(fault);
    expect(toJson("envoy.extensions.filters.http.fault.v3.HTTPFault", built)).toEqual(expected);
  });

  it("is empty where Envoy cannot do what is asked for", () => {
    expect(buildFault({ delay: { exponentialDelay: "1s" }, abort: { http2Error: "x" } })).toEqual({});
  });
});

describe("buildCors", () => {
  const always = { filter_enabled: { default_value: { numerator: 100 } } };
  const cases: readonly (readonly [CorsPolicy, unknown])[] = [
    [{}, { ...always, forward_not_matching_preflights: true }],
    [
      { allowOrigin: ["https://a.example"], unmatchedPreflights: "IGNORE", allowCredentials: false },
      {
        ...always,
        allow_origin_string_match: [{ exact: "https://a.example" }],
        forward_not_matching_preflights: false,
        allow_credentials: false,
      },
    ],
    [
      {
        allowOrigins: [{ regex: "https://.*" }, { prefix: "http://" }],
        allowMethods: ["GET", "POST"],
        allowHeaders: ["x-a", "x-b"],
        exposeHeaders: ["x-c"],
        maxAge: "1h30m",
        allowCredentials: true,
        unmatchedPreflights: "FORWARD",
      },
      {
        ...always,
        allow_origin_string_match: [{ safe_regex: { regex: "https://.*" } }, { prefix: "http://" }],
        allow_methods: "GET,POST",
        allow_headers: "x-a,x-b",
        expose_headers: "x-c",
        max_age: "5400",
        allow_credentials: true,
        forward_not_matching_preflights: true,
      },
    ],
  ];

  it.each(cases)("builds %j", (cors, expected) => {
    expect(toJson("envoy.extensions.filters.http.cors.v3.CorsPolicy", buildCors(cors))).toEqual(expected);
  });
});

describe("buildRedirect", () => {
  const cases: readonly (readonly [HttpRedirect, number, unknown])[] = [
    [{ uri: "/new" }, 80, { path_redirect: "/new" }],
    [
      { uri: "/new", authority: "b", scheme: "https", port: 8443, redirectCode: 302 },
      80,
      {
        host_redirect: "b",
        path_redirect: "/new",
        scheme_redirect: "https",
        port_redirect: 8443,
        response_code: "FOUND",
      },
    ],
    [{ redirectCode: 303 }, 80, { path_redirect: "", response_code: "SEE_OTHER" }],
    [{ redirectCode: 307 }, 80, { path_redirect: "", response_code: "TEMPORARY_REDIRECT" }],
    [
      { derivePort: "FROM_REQUEST_PORT", redirectCode: 308 },
      9080,
      { path_redirect: "", port_redirect: 9080, response_code: "PERMANENT_REDIRECT" },
    ],
    [{ derivePort: "FROM_REQUEST_PORT" }, 80, { path_redirect: "" }],
    [{ derivePort: "FROM_PROTOCOL_DEFAULT" }, 9080, { path_redirect: "" }],
    [{ scheme: "https", port: 443 }, 80, { path_redirect: "", scheme_redirect: "https" }],
    [{ scheme: "https", port: 80 }, 80, { path_redirect: "", scheme_redirect: "https", port_redirect: 80 }],
  ];

  it.each(cases)("builds %j on port %d", (redirect, port, expected) => {
    const built = buildRedirect(redirect, { port, isTls: false });
    expect(toJson("envoy.config.route.v3.RedirectAction", built)).toEqual(expected);
  });

  it("leaves out 443 where the gateway ends TLS", () => {
    const built = buildRedirect({ derivePort: "FROM_REQUEST_PORT" }, { port: 443, isTls: true });
    expect(built).toEqual({ path_redirect: "" });
  });

  it("replaces only the prefix where that is asked for", () => {
    const redirect = { prefixRewrite: "/new", authority: "b.example" };
    expect(buildRedirect(redirect, { port: 80, isTls: false })).toEqual({
      host_redirect: "b.example",
      prefix_rewrite: "/new",
    });
  });
});

describe("buildDirectResponse", () => {
  const cases: readonly (readonly [DirectResponse, unknown])[] = [
    [{ status: 204 }, { status: 204 }],
    [
      { status: 418, body: { string: "short" } },
      { status: 418, body: { inline_string: "short" } },
    ],
    [
      { status: 200, body: { bytes: "aGk=" } },
      { status: 200, body: { inline_bytes: "aGk=" } },
    ],
  ];

  it.each(cases)("builds %j", (response, expected) => {
    expect(toJson("envoy.config.route.v3.DirectResponseAction", buildDirectResponse(response))).toEqual(expected);
  });
});
