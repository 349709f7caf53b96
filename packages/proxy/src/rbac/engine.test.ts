import { fromJson } from "@meltemi/protos";
import { describe, expect, it } from "vitest";
import { HeaderList } from "../http/header-list.ts";
import type { HttpRequest } from "../http/message.ts";
import { type FilterStateObject, StreamInfo } from "../http/stream-info.ts";
import type { DownstreamConnection, TlsInfo } from "../listeners/connection.ts";
import { compileRbac } from "./engine.ts";
import type { RbacSubject } from "./subject.ts";

interface Peer {
  readonly uriSans?: readonly string[];
  readonly dnsSans?: readonly string[];
  readonly subject?: string;
}

interface Call {
  readonly path?: string;
  readonly headers?: readonly string[];
  readonly peer?: Peer;
  readonly remoteIp?: string;
  readonly metadata?: Readonly<Record<string, Record<string, unknown>>>;
  readonly state?: Readonly<Record<string, string>>;
}

function tlsOf({ uriSans = [], dnsSans = [], subject = "" }: Peer): TlsInfo {
  const peer = {
    subject,
    uriSans,
    dnsSans,
    ipSans: [],
    issuer: "",
    serialNumber: "",
    sha256: "",
    validFromMs: 0,
    validToMs: 0,
    pem: "",
  };
  return { version: "", cipher: "", sni: "", alpn: "", sessionId: "", local: undefined, peer, isPeerVerified: true };
}

function subjectOf(call: Call): RbacSubject {
  const filterState = new Map<string, FilterStateObject>(
    Object.entries(call.state ?? {}).map(([name, text]) => [name, { text }]),
  );
  const draft = {
    id: 1,
    localAddress: { ip: "10.0.0.1", port: 8080 },
    remoteAddress: { ip: "10.9.0.9", port: 1 },
    directRemoteAddress: { ip: "192.168.0.1", port: 1 },
    sni: "a.example.com",
    applicationProtocols: [],
    tls: call.peer === undefined ? undefined : tlsOf(call.peer),
    filterState,
    isDraining: false,
  };
  const connection = draft as unknown as DownstreamConnection;
  const info = new StreamInfo(connection, 0, 0);
  for (const [name, entries] of Object.entries(call.metadata ?? {})) info.dynamicMetadata.set(name, entries);
  const request: HttpRequest | undefined =
    call.path === undefined
      ? undefined
      : {
          method: "GET",
          scheme: "http",
          authority: "a",
          path: call.path,
          headers: HeaderList.fromRaw(call.headers ?? []),
          body: undefined,
          protocol: "HTTP/1.1",
          upgrade: undefined,
        };
  const whole = Object.assign(connection, { info });
  return { connection: whole, info, request, remoteIp: call.remoteIp };
}

type Json = Readonly<Record<string, unknown>>;

function decide(rules: Json, call: Call) {
  return compileRbac(fromJson("envoy.config.rbac.v3.RBAC", rules))(subjectOf(call));
}

const any = { any: true };

function policyOf(permission: Json, principal: Json): Json {
  return { policies: { p: { permissions: [permission], principals: [principal] } } };
}

const range = (address_prefix: string, prefix_len: number) => ({ address_prefix, prefix_len });
const named = (principal_name: Json): Json => ({ authenticated: { principal_name } });

describe("a policy", () => {
  it.each<[string, Json, Json, Call, boolean]>([
    ["any", any, any, {}, true],
    ["a destination", { destination_ip: range("10.0.0.0", 8) }, any, {}, true],
    ["another destination", { destination_ip: range("11.0.0.0", 8) }, any, {}, false],
    ["a port", { destination_port: 8080 }, any, {}, true],
    ["a range of ports", { destination_port_range: { start: 8080, end: 8081 } }, any, {}, true],
    ["a range that ends before", { destination_port_range: { start: 8000, end: 8080 } }, any, {}, false],
    ["a server name", { requested_server_name: { suffix: ".example.com" } }, any, {}, true],
    ["a path", { url_path: { path: { prefix: "/a" } } }, any, { path: "/a/b?c" }, true],
    ["a path without its query", { url_path: { path: { exact: "/a" } } }, any, { path: "/a?b" }, true],
    ["a path without HTTP", { url_path: { path: { prefix: "/" } } }, any, {}, false],
    [
      "a header",
      { header: { name: "x", string_match: { exact: "1" } } },
      any,
      { path: "/", headers: ["X", "1"] },
      true,
    ],
    [
      "any line of a header",
      { header: { name: "x", string_match: { exact: "b" } } },
      any,
      { path: "/", headers: ["X", "a", "X", "b"] },
      true,
    ],
    [
      "no two lines of a header as one",
      { header: { name: "x", string_match: { exact: "a,b" } } },
      any,
      { path: "/", headers: ["X", "a", "X", "b"] },
      false,
    ],
    [
      "a principal by any line of a header",
      any,
      { header: { name: "x", string_match: { exact: "b" } } },
      { path: "/", headers: ["X", "a", "X", "b"] },
      true,
    ],
    ["the method", { header: { name: ":method", string_match: { exact: "GET" } } }, any, { path: "/" }, true],
    ["a header without HTTP", { header: { name: "x", present_match: true } }, any, {}, false],
    ["no header without HTTP", { header: { name: "x", present_match: false } }, any, {}, true],
    [
      "a template",
      {
        uri_template: {
          name: "envoy.path.match.uri_template.uri_template_matcher",
          typed_config: {
            "@type": "type.googleapis.com/envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig",
            path_template: "/a/*/c",
          },
        },
      },
      any,
      { path: "/a/b/c?d" },
      true,
    ],
    ["all of two", { and_rules: { rules: [any, { destination_port: 1 }] } }, any, {}, false],
    ["any of two", { or_rules: { rules: [any, { destination_port: 1 }] } }, any, {}, true],
    ["none", { not_rule: any }, any, {}, false],
    [
      "metadata",
      { metadata: { filter: "f", path: [{ key: "k" }], value: { string_match: { exact: "v" } } } },
      any,
      { metadata: { f: { k: "v" } } },
      true,
    ],
    ["who connects", any, { direct_remote_ip: range("192.168.0.0", 16) }, {}, true],
    ["for whom it connects", any, { source_ip: range("10.9.0.9", 32) }, {}, true],
    ["for whom it asks", any, { remote_ip: range("1.2.3.4", 32) }, { remoteIp: "1.2.3.4" }, true],
    ["for whom, where nothing else is said", any, { remote_ip: range("10.9.0.9", 32) }, {}, true],
    ["a URI", any, named({ exact: "spiffe://a" }), { peer: { uriSans: ["x", "spiffe://a"] } }, true],
    ["a DNS name", any, named({ exact: "a" }), { peer: { uriSans: ["x"], dnsSans: ["a"] } }, true],
    ["a subject", any, named({ exact: "CN=a" }), { peer: { subject: "CN=a" } }, true],
    ["another URI", any, named({ exact: "spiffe://a" }), { peer: { uriSans: ["spiffe://b"] } }, false],
    ["a name without TLS", any, named({ prefix: "spiffe://" }), {}, false],
    ["any TLS", any, { authenticated: {} }, { peer: {} }, true],
    ["no TLS", any, { authenticated: {} }, {}, false],
    ["state", any, { filter_state: { key: "k", string_match: { exact: "v" } } }, { state: { k: "v" } }, true],
    ["all of two principals", any, { and_ids: { ids: [any, { not_id: any }] } }, {}, false],
    ["any of two principals", any, { or_ids: { ids: [any, { not_id: any }] } }, {}, true],
  ])("by %s", (_name, permission, principal, call, expected) => {
    expect(decide(policyOf(permission, principal), call).allowed).toBe(expected);
    expect(decide({ action: "DENY", ...policyOf(permission, principal) }, call).allowed).toBe(!expected);
  });
});

describe("an engine", () => {
  const two = {
    policies: {
      b: { permissions: [any], principals: [any] },
      a: { permissions: [{ destination_port: 8080 }], principals: [any] },
    },
  };

  it("names the first policy that matches", () => {
    expect(decide(two, {})).toEqual({ allowed: true, policy: "a" });
    expect(decide({ action: "DENY", ...two }, {})).toEqual({ allowed: false, policy: "a" });
  });

  it("denies everything without policies, and allows everything where nothing is denied", () => {
    expect(decide({}, {})).toEqual({ allowed: false, policy: undefined });
    expect(decide({ action: "DENY" }, {})).toEqual({ allowed: true, policy: undefined });
  });

  it("only notes down where it is asked to log", () => {
    const subject = subjectOf({});
    expect(compileRbac(fromJson("envoy.config.rbac.v3.RBAC", { action: "LOG" }))(subject).allowed).toBe(true);
    expect(subject.info.dynamicMetadata.get("envoy.common")).toEqual({ access_log_hint: false });
  });

  it.each<[Json, string]>([
    [{ policies: { p: { permissions: [any], principals: [any], condition: {} } } }, 'policies["p"].condition'],
    [{ policies: { p: { principals: [any] } } }, 'policies["p"].permissions: must not be empty'],
    [{ policies: { p: { permissions: [{}], principals: [any] } } }, "one of the kinds of permissions"],
    [policyOf({ matcher: { name: "m" } }, any), "the matcher m is not supported"],
    [policyOf({ or_rules: { rules: [{ url_path: {} }] } }, any), "or_rules.rules[0].url_path.path: is required"],
    [{ audit_logging_options: { logger_configs: [{ audit_logger: { name: "l" } }] } }, "audit logger l"],
  ])("refuses %j", (rules, message) => {
    expect(() => decide(rules, {})).toThrow(message);
  });
});
