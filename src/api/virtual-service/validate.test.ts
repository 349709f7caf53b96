import { expect, test } from "vitest";
import { formatPath } from "../findings.ts";
import type { HttpRoute, VirtualServiceSpec } from "./schema.ts";
import { validateVirtualService } from "./validate.ts";

const said = (spec: VirtualServiceSpec): readonly string[] =>
  validateVirtualService(spec).map(({ level, path, text }) => `${level} ${formatPath(path)}: ${text}`);
const route = [{ destination: { host: "a" } }];
const ok: HttpRoute = { route };
const inRoute = (http: HttpRoute): readonly string[] => said({ hosts: ["a"], http: [http] });
/** The same without the path of the route. */
const ofRoute = (http: HttpRoute): readonly string[] =>
  inRoute(http).map((line) => line.replace(/spec\.http\[0\]\.?/, ""));

test("good ones have nothing to say against them", () => {
  expect(said({ hosts: ["a", "*.b.com", "10.0.0.1"], http: [ok] })).toEqual([]);
  expect(said({ hosts: ["*"], gateways: ["ns/gw"], http: [{ delegate: { name: "d" } }] })).toEqual([]);
  expect(said({ http: [ok] })).toEqual([]);
  expect(
    said({ hosts: ["a.com"], gateways: ["gw"], tls: [{ match: [{ sniHosts: ["a.com"] }], route }], tcp: [{ route }] }),
  ).toEqual([]);
});

const specs: readonly (readonly [VirtualServiceSpec, readonly string[]])[] = [
  [
    { hosts: ["*"], http: [ok] },
    ['error spec.hosts[0]: "*" is not allowed for the gateway "mesh": name the hosts, or the gateways'],
  ],
  [{ hosts: ["a b"], http: [ok] }, ['error spec.hosts[0]: "a b" is not a valid host name or IP address']],
  [{ hosts: ["a.*.com"], http: [ok] }, ['error spec.hosts[0]: "a.*.com" is not a valid host name or IP address']],
  [{ hosts: ["a", "a"], http: [ok] }, ['error spec.hosts[1]: host "a" is given twice']],
  [
    { hosts: ["a"], gateways: ["g"], http: [ok] },
    ['warning spec.hosts[0]: "a" should be a full name, because it is served by gateways only'],
  ],
  [
    { hosts: ["a.b"], gateways: ["a/b/c"], http: [ok] },
    ['error spec.gateways[0]: "a/b/c" is not a gateway as name or namespace/name'],
  ],
  [{ hosts: ["a"] }, ["error spec: one of http, tls, tcp is required"]],
  [
    { gateways: ["g"], http: [{ delegate: { name: "x" } }] },
    [
      "error spec.gateways: must be empty where there are no hosts (a delegate has the gateways of its root)",
      "error spec.http[0].delegate: a delegate cannot delegate any further",
      "error spec.http[0]: one of route, redirect, directResponse, delegate is required",
    ],
  ],
  [
    { hosts: ["a"], http: [ok, ok] },
    ["warning spec.http[1]: is never reached, because spec.http[0] matches everything"],
  ],
  [{ hosts: ["a"], http: [ok], exportTo: ["*", "x"] }, ['error spec.exportTo: "*" must stand alone']],
  [
    {
      hosts: ["a.com"],
      tls: [
        { match: [{ sniHosts: ["b.com"] }], route },
        { match: [], route: [] },
      ],
    },
    [
      'error spec.tls[0].match[0].sniHosts[0]: "b.com" is not within the hosts of the virtual service',
      "error spec.tls[1].match: at least one match is required",
      "error spec.tls[1].route: at least one destination is required",
    ],
  ],
  [
    { hosts: ["a"], tcp: [{ match: [{ destinationSubnets: ["10.0.0.0/33"], port: 70000 }], route }] },
    [
      'error spec.tcp[0].match[0].destinationSubnets[0]: "10.0.0.0/33" is not an IP address or subnet',
      "error spec.tcp[0].match[0].port: must be a port from 1 to 65535",
    ],
  ],
];
const two = (first: HttpRoute["match"], second: HttpRoute["match"]): VirtualServiceSpec => ({
  hosts: ["a"],
  http: [
    { ...ok, match: first ?? [] },
    { ...ok, match: second ?? [] },
  ],
});
const covered = 'is not used: "/a" of http[0] takes it';
const unused: readonly (readonly [VirtualServiceSpec, readonly string[]])[] = [
  [two([{ uri: { prefix: "/a" } }], [{ uri: { prefix: "/ab" } }]), [`spec.http[1].match[0]: prefix "/ab" ${covered}`]],
  [two([{ uri: { prefix: "/a" } }], [{ uri: { prefix: "/ab" }, method: { exact: "POST" } }]), []],
  [two([{ uri: { prefix: "/a" } }], [{ uri: { prefix: "/ab" }, port: 80 }]), []],
  [two([{ uri: { prefix: "/a" }, headers: { x: { exact: "1" } } }], [{ uri: { prefix: "/ab" } }]), []],
  [
    two([{ name: "x", uri: { exact: "/a" } }], [{ uri: { exact: "/a" }, ignoreUriCase: false }]),
    [
      "spec.http[1].match[0]: is not used: rule 0 has the same match",
      "spec.http[1]: is never reached: earlier rules have all its matches",
    ],
  ],
  [
    { hosts: ["a"], tcp: [{ route }, { match: [{ port: 1 }], route }] },
    ["spec.tcp[1]: is never reached, because spec.tcp[0] matches everything"],
  ],
];
test.each(unused)("unused %j", (spec, expected) => {
  expect(said(spec)).toEqual(expected.map((line) => `warning ${line}`));
});

const named: readonly (readonly [Omit<VirtualServiceSpec, "http">, readonly string[]])[] = [
  [{ hosts: ["*.a.com", "x.a.com"] }, ['error spec.hosts[1]: host "x.a.com" overlaps with "*.a.com"']],
  [{ hosts: ["10.0.0.300"] }, ['error spec.hosts[0]: "10.0.0.300" is not a valid host name or IP address']],
  [{ hosts: ["a"], exportTo: ["~"] }, ['error spec.exportTo[0]: "~" is for services only']],
  [{ hosts: ["a"], exportTo: [".", "own"] }, ['error spec.exportTo[1]: "own" is given twice']],
  [
    { hosts: ["a"], gateways: ["gw.ns.svc", "x/"] },
    [
      'warning spec.gateways[0]: "gw.ns.svc" is the old form, write "ns/gw"',
      'warning spec.gateways[1]: "x/" is not a gateway as name or namespace/name',
    ],
  ],
  [
    { hosts: ["a.b"], gateways: ["/x", "mesh"] },
    ['error spec.gateways[0]: "/x" is not a gateway as name or namespace/name'],
  ],
];
test.each(named)("names %j", (spec, expected) => {
  const lines = validateVirtualService({ ...spec, http: [ok] }, { namespace: "own", labels: {} });
  const text = lines.map((line) => `${line.level} ${formatPath(line.path)}: ${line.text}`);
  expect(text.filter((line) => !line.includes("should be a full name"))).toEqual(expected);
});

test("server names of gateways that pass TLS through", () => {
  const name = "outbound_.80_._.e2e.foobar.mesh";
  const tls = [{ match: [{ sniHosts: [name] }], route }];
  expect(said({ hosts: [name], gateways: ["ns/g"], tls })).toEqual([]);
  expect(said({ hosts: ["outbound_.x_._.1"], gateways: ["ns/g"], tls })).toHaveLength(2);
  expect(said({ hosts: [name], gateways: ["mesh"], tls })).toHaveLength(2);
  const ip = said({ hosts: ["10.0.0.1"], tls: [{ match: [{ sniHosts: ["10.0.0.1"] }], route }] });
  expect(ip).toEqual(["warning spec.tls[0].match[0].sniHosts[0]: clients send no server name for IP addresses"]);
});

test.each(specs)("%j", (spec, expected) => expect(said(spec)).toEqual(expected));

const routes: readonly (readonly [HttpRoute, readonly string[]])[] = [
  [{}, ["error : one of route, redirect, directResponse, delegate is required"]],
  [{ route, redirect: { uri: "/" } }, ["error : only one of route, redirect may be set"]],
  [{ redirect: { uri: "/" }, rewrite: { uri: "/" } }, ["error rewrite: cannot stand together with redirect"]],
  [{ redirect: {} }, ["error redirect: one of uri, prefixRewrite, authority, scheme, port, derivePort is required"]],
  [{ redirect: { prefixRewrite: "/b" }, match: [{ uri: { prefix: "/a" } }, { method: { exact: "GET" } }] }, []],
  [
    { redirect: { uri: "/", prefixRewrite: "/b" }, match: [{ uri: { exact: "/a" } }] },
    [
      "error redirect: only one of uri, prefixRewrite may be set",
      "error redirect.prefixRewrite: needs a prefix in every uri match of the route",
    ],
  ],
  [
    { redirect: { uri: "/", redirectCode: 304, scheme: "ftp" } },
    [
      "error redirect.scheme: must be http or https",
      "warning redirect.redirectCode: proxies cannot answer with 304: 301 is sent",
    ],
  ],
  [{ directResponse: { status: 99 } }, ["error directResponse.status: must be an HTTP status from 200 to 599"]],
  [{ route: [{ destination: { host: "a" }, weight: -1 }] }, ["error route[0].weight: must not be negative"]],
  [{ route: [...route, ...route] }, ["error route: the weights must not add up to 0"]],
  [
    { route: [{ destination: { host: "*", subset: "a_b", port: { number: 0 } } }] },
    [
      'error route[0].destination.host: must be one service, not "*"',
      'error route[0].destination.subset: "a_b" is not a valid subset name',
      "error route[0].destination.port.number: must be a port from 1 to 65535",
    ],
  ],
  [{ redirect: { redirectCode: 404, port: 0 } }, ["error redirect.redirectCode: must be 301, 302, 303, 307 or 308"]],
  [
    { route, match: [{ uri: {} }] },
    ["warning match[0].uri: matches everything: one of exact, prefix, regex is missing"],
  ],
  [{ route, match: [{ uri: { prefix: "" } }] }, []],
  [{ route, match: [{ uri: { regex: "" } }] }, ["error match[0].uri.regex: must not be empty"]],
  [{ route, match: [{ method: { prefix: "" } }] }, ["error match[0].method.prefix: must not be empty"]],
  [
    { route, match: [{ headers: { ":path": { prefix: "" } } }] },
    ['error match[0].headers[":path"].prefix: must not be empty'],
  ],
  [{ route, match: [{ withoutHeaders: { a: { regex: "*" } } }] }, []],
  [{ route, match: [{ sourceNamespace: "a.b" }] }, ['error match[0].sourceNamespace: "a.b" is not a namespace']],
  [
    { route, match: [{ uri: { exact: "/", prefix: "/" } }] },
    ["error match[0].uri: only one of exact, prefix may be set"],
  ],
  [
    { route, match: [{ uri: { regex: "(?=x)" } }] },
    [
      "error match[0].uri.regex: is not a valid RE2 expression: error parsing regexp: invalid or unsupported Perl syntax: `(?=`",
    ],
  ],
  [
    { route, match: [{ uri: { regex: "a".repeat(1025) } }] },
    ["error match[0].uri.regex: the expression is longer than 1024 characters"],
  ],
  [
    { route, match: [{ headers: { "a b": { exact: "x" }, ok: {} } }] },
    ['error match[0].headers["a b"]: "a b" is not a valid header name'],
  ],
  [
    { route, match: [{ headers: { "@request.auth.claims.x": { exact: "x" } } }] },
    ['error match[0].headers["@request.auth.claims.x"]: claims can be matched on gateways only'],
  ],
  [{ route, timeout: "-1s" }, ["error timeout: must not be negative"]],
  [{ route, timeout: "0s" }, ["error timeout: must be at least 1ms"]],
  [{ route, timeout: "1.001s" }, []],
  [{ route, timeout: "1.0005s" }, ["error timeout: must be whole milliseconds"]],
  [{ route, retries: { attempts: -1 } }, ["error retries.attempts: must not be negative"]],
  [
    { route, retries: { retryOn: "5xx" } },
    ["error retries: attempts must be set: other settings have no sense where retries are off"],
  ],
  [
    { route, retries: { attempts: 1, retryOn: "5xx,503,nonsense" } },
    ['error retries.retryOn: "nonsense" is not a condition of Envoy or an HTTP status'],
  ],
  [{ route, fault: {} }, ["error fault: one of delay, abort is required"]],
  [
    { route, fault: { delay: { percentage: { value: 101 }, fixedDelay: "0s" } } },
    ["error fault.delay.percentage.value: must be from 0 to 100", "error fault.delay.fixedDelay: must be at least 1ms"],
  ],
  [
    { route, fault: { abort: { httpStatus: 600 } } },
    ["error fault.abort.httpStatus: must be an HTTP status from 200 to 599"],
  ],
  [
    { route, fault: { abort: { grpcStatus: "NOPE" } } },
    ['error fault.abort.grpcStatus: "NOPE" is not the name of a gRPC status'],
  ],
  [
    { route, fault: { abort: { grpcStatus: "14" } } },
    ['error fault.abort.grpcStatus: "14" is not the name of a gRPC status'],
  ],
  [{ route, fault: { delay: {} } }, ["warning fault.delay: delays nothing without fixedDelay"]],
  [{ route, fault: { abort: {} } }, ["warning fault.abort: aborts nothing without httpStatus or grpcStatus"]],
  [
    { route, fault: { abort: { httpStatus: 500, percentage: { value: 0.00001 } } } },
    ["error fault.abort.percentage.value: must be 0 or at least 0.0001"],
  ],
  [
    { directResponse: { status: 200 }, fault: { abort: { httpStatus: 500 } } },
    ["error fault: cannot stand together with directResponse"],
  ],
  [
    { route, retries: { attempts: 1, retryOn: "5xx, 503" } },
    ['error retries.retryOn: " 503" is not a condition of Envoy or an HTTP status'],
  ],
  [
    { route, retries: { attempts: 1, retryOn: "599" } },
    ['error retries.retryOn: "599" is not a condition of Envoy or an HTTP status'],
  ],
  [
    { route, corsPolicy: { allowOrigins: [{ exact: "" }] } },
    ["error corsPolicy.allowOrigins[0]: one of exact, prefix, regex is required"],
  ],
  [{ route, corsPolicy: { maxAge: "0s" } }, ["error corsPolicy.maxAge: must be at least 1ms"]],
  [{ route, mirror: { host: "b" }, mirrorPercent: 5 }, ["warning mirrorPercent: is deprecated, use mirrorPercentage"]],
  [{ delegate: { name: "d" }, route }, ["error : only one of route, delegate may be set"]],
  [
    { delegate: { name: "d" }, directResponse: { status: 200 } },
    ["warning directResponse: has no effect beside delegate"],
  ],
  [{ route, rewrite: { authority: "a b" } }, ['warning rewrite.authority: "a b" is not a valid host name']],
  [
    { route, rewrite: { authority: "a" }, headers: { request: { add: { Host: "b" } } } },
    ['error headers.request.add.Host: the authority is set to "a" already'],
  ],
  [
    { route, headers: { response: { set: { host: "a" } } } },
    ["error headers.response.set.host: the host cannot be changed here"],
  ],
  [
    { route, headers: { request: { set: { ":path": "a" } } } },
    ['error headers.request.set[":path"]: ":path" cannot be changed'],
  ],
  [
    { route, headers: { request: { set: { a: "50%", b: "%START_TIME%%", c: "%REQ(:path)%", d: "100%%" } } } },
    ["a", "b"].map(
      (name) =>
        `error headers.request.set.${name}: has a percent sign that begins no command; write "%%" for the sign itself`,
    ),
  ],
  [
    { route, corsPolicy: { allowMethods: ["GOT"], maxAge: "1500ms" } },
    ['error corsPolicy.allowMethods[0]: "GOT" is not an HTTP method', "error corsPolicy.maxAge: must be whole seconds"],
  ],
  [
    { route, mirror: { host: "b" }, mirrors: [{ destination: { host: "c" } }] },
    ["error : only one of mirror, mirrors may be set"],
  ],
  [{ route, mirrorPercentage: { value: 5 } }, ["warning : a mirror percentage has no effect without mirror"]],
  [{ route, rewrite: {} }, ["error rewrite: one of uri, authority, uriRegexRewrite is required"]],
  [
    { route, rewrite: { uriRegexRewrite: { match: "(", rewrite: "" } } },
    [
      "error rewrite.uriRegexRewrite.match: is not a valid RE2 expression: error parsing regexp: missing closing ): `(`",
      "error rewrite.uriRegexRewrite.rewrite: is required",
    ],
  ],
  [
    { route, headers: { request: { set: { "x y": "1" }, remove: [""] } } },
    [
      'warning headers.request.set["x y"]: "x y" is no name that HTTP knows',
      "error headers.request.remove[0]: the name must not be empty",
    ],
  ],
  [{ delegate: {} }, ["warning delegate.name: is missing: the route does nothing without it"]],
];
test.each(routes)("route %j", (http, expected) => expect(ofRoute(http)).toEqual(expected));
