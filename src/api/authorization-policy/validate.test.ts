import { expect, test } from "vitest";
import { parseObject } from "../parse.ts";

/** What is said about a policy, one line a message, without the notice that the kind has no effect yet. */
function said(spec: unknown, annotations: { readonly [name: string]: string } = {}): readonly string[] {
  const { messages } = parseObject({
    apiVersion: "security.istio.io/v1",
    kind: "AuthorizationPolicy",
    metadata: { name: "a", annotations },
    spec,
  });
  return messages
    .filter(({ code }) => code !== "untranslated-kind")
    .map(({ level, path, text }) => `${level} ${path}: ${text}`);
}

const from = (source: unknown): unknown => ({ rules: [{ from: [{ source }] }] });
const to = (operation: unknown): unknown => ({ rules: [{ to: [{ operation }] }] });
const when = (key: string, ...values: readonly string[]): unknown => ({ rules: [{ when: [{ key, values }] }] });
const target = { kind: "Gateway", group: "gateway.networking.k8s.io", name: "g" };
const provider = { name: "p" };

test("an object is kept, with a notice that it has no effect yet", () => {
  const raw = {
    apiVersion: "security.istio.io/v1beta1",
    kind: "AuthorizationPolicy",
    metadata: { name: "a", namespace: "shop" },
    spec: { action: 1, rules: [null, { to: [{ operation: { not_paths: ["/a"], ports: ["80"] } }] }] },
  };
  const { object, messages } = parseObject(raw);
  expect(object).toMatchObject({
    kind: "AuthorizationPolicy",
    meta: { name: "a", namespace: "shop" },
    spec: { action: "DENY", rules: [{}, { to: [{ operation: { notPaths: ["/a"], ports: ["80"] } }] }] },
  });
  expect(messages.map(({ level, code, path, text }) => [level, code, path, text])).toEqual([
    ["warning", "untranslated-kind", "kind", "kind AuthorizationPolicy is not translated yet by this version"],
  ]);
});

test.each([
  [{}],
  [{ rules: [] }],
  [{ rules: [{}] }],
  [{ rules: [{ from: [], to: [], when: [] }] }],
  [{ action: "DENY", rules: [{}] }],
  [{ action: "AUDIT", rules: [{ from: [{ source: { requestPrincipals: ["i/*"] } }] }] }],
  [{ action: "CUSTOM", provider, rules: [{ to: [{ operation: { paths: ["/a"] } }] }] }],
  [{ action: "CUSTOM", provider, rules: [{ from: [{ source: { ipBlocks: ["10.0.0.0/8"] } }] }] }],
  [{ action: "CUSTOM", provider, rules: [{ when: [{ key: "request.headers[x]", values: ["y"] }] }] }],
  [from({ principals: ["*"], notNamespaces: ["a"], trustDomains: ["*.a", "b*", "*", "c"] })],
  [from({ serviceAccounts: ["a", "b/c"], requestPrincipals: ["*"] })],
  [from({ ipBlocks: ["1.2.3.4", "fe80::1%eth0", "::/0"], remoteIpBlocks: ["1.2.3.4/32"] })],
  [to({ hosts: ["*"], ports: ["0", "65535", "0080"], methods: ["GET"] })],
  [to({ paths: ["*", "/a*", "*b", "/a/{*}/b", "/{**}", "/a/{**}/b/", "/a b", "//"] })],
  [when("source.namespace", "a")],
  [when("source.serviceAccount", "a/b")],
  [when("source.trustDomain", "a*")],
  [when("destination.port", "80")],
  [when("request.headers[a]", "x")],
  [when("request.auth.claims[a][b]", "x")],
  [when("experimental.envoy.filters.a.b[c]", "x")],
  [{ rules: [{ when: [{ key: "remote.ip", notValues: ["10.0.0.0/8"] }] }] }],
  [{ targetRefs: [target, { kind: "Service", name: "s" }, { kind: "Service", group: "core", name: "s" }] }],
  [{ targetRef: { kind: "ServiceEntry", group: "networking.istio.io", name: "s", namespace: "" } }],
  [{ targetRefs: [{ ...target, kind: "GatewayClass" }], selector: null }],
  [{ selector: { matchLabels: { a: "b" } }, targetRefs: [] }],
])("nothing is said about %j", (spec) => expect(said(spec)).toEqual([]));

const empty = "error spec.rules[0].from[0].source: must have at least one field";
test.each<readonly [unknown, ...string[]]>([
  [
    { selector: { matchLabels: { a: "b" } }, targetRefs: [target] },
    "error spec: only one of selector, targetRefs may be set",
  ],
  [{ targetRef: target, targetRefs: [target] }, "error spec: only one of targetRef, targetRefs may be set"],
  [{ selector: {} }, "warning spec.selector: has no labels, so that it selects every workload of the namespace"],
  [
    { selector: { matchLabels: { a: "*" } } },
    'error spec.selector.matchLabels.a: "*" has no meaning here: labels are compared as they are',
  ],
  [
    { targetRefs: [{ kind: "Pod", name: "p" }] },
    'error spec.targetRefs[0].kind: must be one of Service, ServiceEntry, Gateway, GatewayClass, not "Pod"',
  ],
  [
    { targetRef: { kind: "Gateway", name: "g" } },
    'error spec.targetRef.group: must be "gateway.networking.k8s.io" for a Gateway, not ""',
  ],
  [
    { targetRef: { ...target, namespace: "other" } },
    "error spec.targetRef.namespace: must not be set: a policy reaches its own namespace only",
  ],
  [{ targetRef: {} }, "error spec.targetRef.kind: is required", "error spec.targetRef.name: is required"],
  [
    { action: "DENY" },
    "error spec.rules: without rules a DENY policy matches nothing; for every request give it one empty rule: [{}]",
  ],
  [
    { action: "CUSTOM", provider, rules: [] },
    "error spec.rules: without rules a CUSTOM policy matches nothing; for every request give it one empty rule: [{}]",
  ],
  [{ action: "CUSTOM", rules: [{}] }, "error spec.provider.name: is required for CUSTOM"],
  [{ action: "CUSTOM", provider: {}, rules: [{}] }, "error spec.provider.name: is required for CUSTOM"],
  [{ provider }, "error spec.provider: has a meaning for CUSTOM only, not for ALLOW"],
  [{ action: "ALOW" }, 'error spec.action: must be one of ALLOW, DENY, AUDIT, CUSTOM, did you mean "ALLOW"?'],
  [
    {
      action: "CUSTOM",
      provider,
      rules: [
        {
          from: [{ source: { principals: ["a"], trustDomains: ["b"] } }],
          when: [{ key: "request.auth.claims[a]", values: ["b"] }],
        },
      ],
    },
    "error spec.rules[0].from[0].source.trustDomains: cannot be used with CUSTOM",
    "error spec.rules[0].from[0].source.principals: cannot be used with CUSTOM",
    'error spec.rules[0].when[0].key: "request.auth.claims[a]" cannot be used with CUSTOM',
  ],
  [{ rules: [{ from: [{}] }] }, empty],
  [{ rules: [{ from: [null] }] }, empty],
  [from({}), empty],
  [from({ principals: [] }), empty],
  [{ rules: [{ to: [{}] }] }, "error spec.rules[0].to[0].operation: must have at least one field"],
  [to({ hosts: [] }), "error spec.rules[0].to[0].operation: must have at least one field"],
  ...["principals", "notRequestPrincipals", "namespaces", "serviceAccounts", "trustDomains"].map(
    (field): readonly [unknown, string] => [
      from({ [field]: [""] }),
      `error spec.rules[0].from[0].source.${field}[0]: must not be empty`,
    ],
  ),
  ...["hosts", "notMethods", "paths"].map((field): readonly [unknown, string] => [
    to({ [field]: ["x", ""] }),
    `error spec.rules[0].to[0].operation.${field}[1]: must not be empty`,
  ]),
  ...["", "10.0.0.0/33", "10.0.0.0/08", "10.0.0", "fe80::1%a/64", "a.com"].map((block): readonly [unknown, string] => [
    from({ notIpBlocks: [block] }),
    `error spec.rules[0].from[0].source.notIpBlocks[0]: "${block}" is not an address or a subnet such as 10.0.0.0/8`,
  ]),
  ...["", "65536", "http", "-1", "+80", "8 0"].map((port): readonly [unknown, string] => [
    to({ ports: [port] }),
    `error spec.rules[0].to[0].operation.ports[0]: "${port}" is not a port from 0 to 65535`,
  ]),
  [
    from({ serviceAccounts: ["a/*", "a/b/c", "/a", "a/", "x".repeat(321)], notPrincipals: ["p"] }),
    "error spec.rules[0].from[0].source.serviceAccounts[0]: must not have a wildcard",
    'error spec.rules[0].from[0].source.serviceAccounts[1]: "a/b/c" must be ACCOUNT or NAMESPACE/ACCOUNT',
    'error spec.rules[0].from[0].source.serviceAccounts[2]: "/a" must be ACCOUNT or NAMESPACE/ACCOUNT',
    'error spec.rules[0].from[0].source.serviceAccounts[3]: "a/" must be ACCOUNT or NAMESPACE/ACCOUNT',
    "error spec.rules[0].from[0].source.serviceAccounts[4]: is longer than 320 characters",
    "error spec.rules[0].from[0].source: serviceAccounts cannot stand together with notPrincipals",
  ],
  [
    from({ notServiceAccounts: Array.from({ length: 17 }, () => "a") }),
    "error spec.rules[0].from[0].source.notServiceAccounts: must have at most 16 values",
  ],
  [
    from({ trustDomains: ["a*b", "**", "a/b"] }),
    'error spec.rules[0].from[0].source.trustDomains[0]: "a*b" has its wildcard in the middle: it must start or end with it',
    'error spec.rules[0].from[0].source.trustDomains[1]: "**" has more than one wildcard',
    'error spec.rules[0].from[0].source.trustDomains[2]: "a/b" must not have a "/"',
  ],
  [
    to({ paths: ["/{a}", "/{**}/{*}", "/a*/{*}", "/a//{*}"] }),
    'error spec.rules[0].to[0].operation.paths[0]: "/{a}" has braces that are not "{*}" or "{**}" as a whole segment',
    'error spec.rules[0].to[0].operation.paths[1]: "/{**}/{*}" has a template after "{**}", which must be the last one',
    'error spec.rules[0].to[0].operation.paths[2]: "/a*/{*}" has the segment "a*", which cannot stand beside "{*}" and "{**}"',
    'error spec.rules[0].to[0].operation.paths[3]: "/a//{*}" has the segment "", which cannot stand beside "{*}" and "{**}"',
  ],
  [{ rules: [{ when: [{}] }] }, "error spec.rules[0].when[0].key: is required"],
  [{ rules: [{ when: [{ key: "", values: ["a"] }] }] }, "error spec.rules[0].when[0].key: must not be empty"],
  [when("source.namespace"), "error spec.rules[0].when[0]: one of values, notValues is required"],
  [when("source.namespace", ""), "error spec.rules[0].when[0].values[0]: must not be empty"],
  [when("request.headers[a]", ""), "error spec.rules[0].when[0].values[0]: must not be empty"],
  [
    when("source.ip", "a"),
    'error spec.rules[0].when[0].values[0]: "a" is not an address or a subnet such as 10.0.0.0/8',
  ],
  [when("destination.port", "a"), 'error spec.rules[0].when[0].values[0]: "a" is not a port from 0 to 65535'],
  [when("source.serviceAccount", "*"), "error spec.rules[0].when[0].values[0]: must not have a wildcard"],
  [
    when("source.trustDomain", "a*b"),
    'error spec.rules[0].when[0].values[0]: "a*b" has its wildcard in the middle: it must start or end with it',
  ],
  ...["request.headers", "request.headers[]", "request.headers[a]b"].map((key): readonly [unknown, string] => [
    when(key, "x"),
    `error spec.rules[0].when[0].key: "${key}" must name a part in brackets, such as "request.headers[name]"`,
  ]),
  [
    when("source.namespaces", "x"),
    'error spec.rules[0].when[0].key: "source.namespaces" is not an attribute of requests, did you mean "source.namespace"?',
  ],
  [
    when("destination.labels[version]", "v1"),
    'error spec.rules[0].when[0].key: "destination.labels[version]" is no longer an attribute: use the selector of the policy',
  ],
  [
    when("destination.namespace", "x"),
    'error spec.rules[0].when[0].key: "destination.namespace" is no longer an attribute: use the namespace of the policy',
  ],
  [from({ principal: ["a"] }), expect.stringContaining('did you mean "principals"?'), empty],
  [{ rules: {} }, "error spec.rules: must be a list, not an object"],
])("%j", (spec, ...expected) => expect(said(spec)).toEqual(expected));

test("a DENY rule that only HTTP can decide is worth a warning", () => {
  const warning =
    "warning spec.rules[0]: denies every TCP connection too, as only HTTP knows what it asks for; say for which ports it is";
  const denied = (rule: unknown) => said({ action: "DENY", rules: [rule] });
  const methods = { operation: { methods: ["GET"] } };
  const ports = { operation: { methods: ["GET"], notPorts: ["80"] } };
  const token = { source: { notRequestPrincipals: ["*"] } };
  const peer = { source: { notNamespaces: ["a"] } };
  expect(denied({ to: [methods] })).toEqual([warning]);
  expect(denied({ from: [token] })).toEqual([warning]);
  expect(denied({ from: [peer], to: [methods] })).toEqual([warning]);
  expect(denied({ from: [{ source: { trustDomains: ["a"] } }] })).toEqual([warning]);
  expect(denied({ to: [methods, ports] })).toEqual([]);
  expect(denied({ from: [token], to: [ports] })).toEqual([]);
  expect(denied({ from: [peer, token] })).toEqual([]);
  expect(denied({ when: [{ key: "request.headers[a]", values: ["b"] }] })).toEqual([]);
  expect(said({ rules: [{ to: [methods] }] })).toEqual([]);
});

test("dry-run is true or false, and not for all actions", () => {
  const name = "istio.io/dry-run";
  for (const value of ["true", "F", "0"]) expect(said({}, { [name]: value })).toEqual([]);
  expect(said({}, { [name]: "yes" })).toEqual([
    'error metadata.annotations["istio.io/dry-run"]: must be true or false, not "yes"',
  ]);
  expect(said({ action: "AUDIT" }, { [name]: "true" })).toEqual([
    'error metadata.annotations["istio.io/dry-run"]: is for ALLOW and DENY only, not for AUDIT',
  ]);
});
