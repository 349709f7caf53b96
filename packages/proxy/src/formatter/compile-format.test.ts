import { struct } from "@meltemi/protos";
import { describe, expect, it } from "vitest";
import { sampleEntry } from "../../test/sample-entry.ts";
import type { LogEntry } from "../access-log/types.ts";
import { HeaderList } from "../http/header-list.ts";
import type { CertificateInfo, TlsInfo } from "../listeners/connection.ts";
import { compileJsonFormat, compileSubstitution, compileTextFormat } from "./compile-format.ts";

const certificate: CertificateInfo = {
  subject: "CN=a",
  issuer: "CN=ca",
  serialNumber: "0a",
  sha256: "ff",
  uriSans: ["spiffe://a", "spiffe://b"],
  dnsSans: [],
  ipSans: [],
  validFromMs: 0,
  validToMs: 86_400_000,
  pem: "PEM +",
};
const tls: TlsInfo = {
  version: "TLSv1.3",
  cipher: "TLS_AES_128_GCM_SHA256",
  sni: "a.example",
  alpn: "h2",
  sessionId: "",
  local: undefined,
  peer: certificate,
  isPeerVerified: true,
};

describe("compileTextFormat", () => {
  it("tells the first line of a header, and all of those that Envoy takes for one", () => {
    const headers = new HeaderList(["x-a", "1", "x-a", "2", "accept", "1", "accept", "2", "vary", "1", "vary", "2"]);
    const entry: LogEntry = { ...sampleEntry(), responseHeaders: headers };
    if (entry.request !== undefined) entry.request.headers = headers;
    const format = "%REQ(x-a)% %REQ(accept)% %REQ(vary)% %RESP(x-a)% %RESP(accept)% %RESP(vary)%";
    expect(compileTextFormat(format)(entry)).toBe("1 1,2 1 1 1 1,2");
  });

  // The first lines are what a real Envoy printed for such a request.
  it.each([
    ["%START_TIME%", "2026-11-21T17:29:35.260Z"],
    ["%START_TIME(%s)%|%START_TIME(%s.%3f)%", "1795282175|1795282175.260"],
    [
      "%START_TIME(%Y/%m/%dT%H:%M:%S.%6f%z %9f %f %e|%I%p|%a %b %j %D %T %F)%",
      "2026/11/21T17:29:35.260000+0000 260000000 260000000 21|05PM|Sat Nov 325 11/21/26 17:29:35 2026-11-21",
    ],
    ["%REQ(:METHOD)% %REQ(X-A?:PATH):4% %REQ(X-NONE?:AUTHORITY)% %REQ(none)%", "GET zzzz a.example:80 -"],
    ["%PATH(NQ)%|%PATH(NQ:PATH)%|%PATH(WQ:ORIG)%|%PATH(WQ)%", "/foo|/foo|-|/foo?q=a%20b"],
    ["%REQ_WITHOUT_QUERY(X-ENVOY-ORIGINAL-PATH?:PATH):3%", "/fo"],
    ["%QUERY_PARAM(q)%|%QUERY_PARAM(x)%", "a b|-"],
    [
      "%PROTOCOL% %RESPONSE_CODE% %RESPONSE_CODE_DETAILS% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT%",
      "HTTP/1.1 200 via_upstream - 0 9",
    ],
    ["%DURATION% %REQUEST_DURATION% %REQUEST_TX_DURATION% %RESPONSE_DURATION% %RESPONSE_TX_DURATION%", "27 0 2 26 0"],
    ["%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)% %COMMON_DURATION(DS_CX_BEG:DS_RX_BEG)%", "27500 500"],
    [
      "%UPSTREAM_HOST% %UPSTREAM_HOST_NAME% %UPSTREAM_CLUSTER% %UPSTREAM_CLUSTER_RAW%",
      "127.0.0.1:19903 up.example a.b a.b",
    ],
    ["%UPSTREAM_LOCAL_ADDRESS% %UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT% %UPSTREAM_LOCAL_PORT%", "[::1]:34230 ::1 34230"],
    ["%UPSTREAM_REMOTE_ADDRESS% %UPSTREAM_REMOTE_PORT% %UPSTREAM_TRANSPORT_FAILURE_REASON%", "127.0.0.1:19903 19903 -"],
    ["%UPSTREAM_PROTOCOL% %UPSTREAM_REQUEST_ATTEMPT_COUNT% %UPSTREAM_WIRE_BYTES_SENT%", "HTTP/1.1 1 211"],
    [
      "%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_REMOTE_PORT%",
      "[::1]:1234 ::1 1234",
    ],
    [
      "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_PORT%",
      "10.0.0.9:4321 127.0.0.1:19902 19902",
    ],
    ["%REQUESTED_SERVER_NAME% %REQUESTED_SERVER_NAME(HOST_FIRST:ORIG)%", "a.example a.example"],
    ["%ROUTE_NAME% %VIRTUAL_CLUSTER_NAME% %VIRTUAL_HOST_NAME% %CONNECTION_ID%", "r - - 7"],
    ["%STREAM_ID% %TRACE_ID% %ACCESS_LOG_TYPE%", "e98179b5-9ae3-43a2-b0f4-6748311ea615 - DownstreamEnd"],
    [
      "%DYNAMIC_METADATA(ns)% %DYNAMIC_METADATA(ns:user)% %DYNAMIC_METADATA(ns:deep:n)% %DYNAMIC_METADATA(ns:no)%",
      '{"user":"joe","deep":{"n":1}} joe 1 -',
    ],
    ["%UPSTREAM_METADATA(envoy.lb:version)% %METADATA(ROUTE:r:k)% %METADATA(DYNAMIC:ns:user):2%", "v1 true jo"],
    ["%FILTER_STATE(fs:PLAIN)% %FILTER_STATE(fs)% %FILTER_STATE(fs:FIELD:a)% %FILTER_STATE(no)%", 'plain {"a":1} 1 -'],
    ["%GRPC_STATUS%|%LOCAL_REPLY_BODY%|%CUSTOM_FLAGS%|%%", "-|||%"],
    ["%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% %RESP(:status)% %TRAILER(x)%", "26 200 -"],
    ["%DOWNSTREAM_TLS_VERSION% %DOWNSTREAM_PEER_URI_SAN%", "- -"],
    ["no operator", "no operator"],
    ["", ""],
  ])("%s", (format, text) => {
    expect(compileTextFormat(format)(sampleEntry())).toBe(text);
  });
});

describe("compileTextFormat in other situations", () => {
  it("reads what TLS told", () => {
    const format = compileTextFormat(
      "%DOWNSTREAM_TLS_VERSION% %DOWNSTREAM_TLS_SESSION_ID% %DOWNSTREAM_PEER_SUBJECT% %DOWNSTREAM_PEER_URI_SAN% " +
        "%DOWNSTREAM_PEER_DNS_SAN% %DOWNSTREAM_PEER_FINGERPRINT_256% %DOWNSTREAM_PEER_CERT% %DOWNSTREAM_LOCAL_SUBJECT% " +
        "%DOWNSTREAM_PEER_CERT_V_START% %DOWNSTREAM_PEER_CERT_V_END(%b %e)%",
    );
    const text = "TLSv1.3 - CN=a spiffe://a,spiffe://b - ff PEM%20%2B - 1970-01-01T00:00:00.000Z Jan  2";
    expect(format(sampleEntry(tls))).toBe(text);
  });

  it("prints flags in the order in which they were set", () => {
    const entry = sampleEntry();
    entry.info.responseFlags.add("URX").add("UF");
    expect(compileTextFormat("%RESPONSE_FLAGS% %RESPONSE_FLAGS_LONG%")(entry)).toBe(
      "URX,UF UpstreamRetryLimitExceeded,UpstreamConnectionFailure",
    );
  });

  it("prints the client that headers name, and nothing of a request for a connection", () => {
    const entry = sampleEntry();
    entry.info.remoteAddress = { ip: "1.2.3.4", port: 0 };
    expect(compileTextFormat("%DOWNSTREAM_REMOTE_ADDRESS%")(entry)).toBe("1.2.3.4:0");
    expect(compileTextFormat("%REQ(:METHOD)% %PATH(NQ)% %ACCESS_LOG_TYPE%")({ info: entry.info })).toBe(
      "- - TcpConnectionEnd",
    );
  });

  it.each([
    [["grpc-status", "5"], undefined, "NotFound NOT_FOUND 5 5"],
    [undefined, ["grpc-status", "1"], "Canceled CANCELLED 1 1"],
    [undefined, ["grpc-status", "99"], "99 99 99 99"],
    [undefined, undefined, "OK OK 0 0"],
  ])("finds gRPC's status: headers %j, trailers %j", (headers, trailers, text) => {
    const entry: LogEntry = {
      ...sampleEntry(),
      responseHeaders: headers && new HeaderList(headers),
      responseTrailers: trailers && new HeaderList(trailers),
    };
    entry.request?.headers.set("content-type", "application/grpc+proto");
    const format = "%GRPC_STATUS% %GRPC_STATUS(SNAKE_STRING)% %GRPC_STATUS(NUMBER)% %GRPC_STATUS_NUMBER%";
    expect(compileTextFormat(format)(entry)).toBe(text);
  });
});

describe("options and mistakes of formats", () => {
  it("takes what touches the world from its options", () => {
    const format = compileTextFormat("%HOSTNAME% %ENVIRONMENT(HOME)% %ENVIRONMENT(NONE)%", {
      hostname: "host",
      environment: (name) => (name === "HOME" ? "/root" : undefined),
    });
    expect(format(sampleEntry())).toBe("host /root -");
  });

  it.each([
    ["%NOPE%", "the operator %NOPE% is not supported"],
    ["%REQ%", "%REQ%: needs an argument"],
    ["%PROTOCOL(x)%", "%PROTOCOL(x)%: takes no argument"],
    ["100%", 'no operator begins at "%"'],
    ["%START_TIME(%Q)%", "%START_TIME(%Q)%: the time pattern %Q is not supported"],
    ["%COMMON_DURATION(DS_RX_BEG:NO)%", '%COMMON_DURATION(DS_RX_BEG:NO)%: "NO" is none of'],
    ["%ENVIRONMENT(X)%", "%ENVIRONMENT(X)%: cannot be used here"],
    ["%CEL(request.path)%", "the operator %CEL% is not supported"],
    ["%constructor%", 'no operator begins at "%constructor%"'],
  ])("refuses %s", (format, problem) => {
    expect(() => compileTextFormat(format)).toThrow(problem);
  });
});

describe("compileJsonFormat", () => {
  it("keeps types, and has null for what is absent", () => {
    const format = compileJsonFormat(
      struct({
        z: "%RESPONSE_CODE%",
        none: "%REQ(x-none)%",
        mix: "a %RESPONSE_CODE% b",
        list: ["%PROTOCOL%", 3, true],
        nest: { sent: "%BYTES_SENT%" },
        num: 5,
        empty: "",
        cut: "%REQ(x-a):2%",
      }),
    );
    expect(JSON.stringify(format(sampleEntry()))).toBe(
      '{"cut":"zz","empty":"","list":["HTTP/1.1",3,true],"mix":"a 200 b","nest":{"sent":9},"none":null,"num":5,"z":200}',
    );
  });

  it("leaves out what is absent where that is asked for", () => {
    const format = compileJsonFormat({ none: "%REQ(x-none)%", mix: "<%REQ(x-none)%>" }, { omitsEmpty: true });
    expect(format(sampleEntry())).toEqual({ mix: "<>" });
  });

  it("names the member that cannot be used", () => {
    expect(() => compileJsonFormat({ a: { b: ["%NOPE%"] } })).toThrow("a.b[0]: the operator %NOPE% is not supported");
  });
});

describe("compileSubstitution", () => {
  it("takes text, sources of text and JSON", () => {
    const entry = sampleEntry();
    expect(compileSubstitution({ text_format: "%PROTOCOL%\n" })(entry)).toBe("HTTP/1.1\n");
    expect(
      compileSubstitution({ text_format_source: { inline_string: "%REQ(x)%" }, omit_empty_values: true })(entry),
    ).toBe("");
    expect(compileSubstitution({ json_format: struct({ a: "%RESPONSE_CODE%" }) })(entry)).toBe('{"a":200}\n');
  });

  it("refuses formatters that it does not have, and nothing at all", () => {
    expect(() => compileSubstitution({ text_format: "x", formatters: [{ name: "envoy.formatter.cel" }] })).toThrow(
      "formatters[0]: the formatter envoy.formatter.cel is not supported",
    );
    expect(() => compileSubstitution({})).toThrow("one of text_format");
    expect(() => compileSubstitution({ text_format_source: { filename: "/nowhere/x" } })).toThrow(
      "text_format_source.filename: cannot be read",
    );
  });
});
