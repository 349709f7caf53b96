import { expect, test } from "vitest";
import { formatPath } from "../findings.ts";
import { validateWorkloadEntry } from "../workload-entry/validate.ts";
import type { ServiceEntrySpec } from "./schema.ts";
import { validateServiceEntry } from "./validate.ts";

const said = (spec: ServiceEntrySpec): readonly string[] =>
  validateServiceEntry(spec).map(({ level, path, text }) => `${level} ${formatPath(path)}: ${text}`);
const ports = [{ number: 80, name: "http", protocol: "HTTP" }];

test("good ones have nothing to say against them", () => {
  expect(said({ hosts: ["a.com"], ports, resolution: "DNS" })).toEqual([]);
  expect(said({ hosts: ["*.a.com"], ports, addresses: ["10.0.0.0/8"] })).toEqual([]);
  expect(
    said({ hosts: ["a.com"], ports, resolution: "STATIC", endpoints: [{ address: "::1", ports: { http: 8080 } }] }),
  ).toEqual([]);
  expect(said({ hosts: ["a.com"], ports, resolution: "STATIC", endpoints: [{ address: "unix:///x" }] })).toEqual([]);
});

const specs: readonly (readonly [ServiceEntrySpec, readonly string[]])[] = [
  [{ hosts: [] }, ["error spec.hosts: at least one host is required"]],
  [{ hosts: ["*"] }, ['error spec.hosts[0]: must not be "*"']],
  [
    { hosts: ["*.a.com"], resolution: "DNS" },
    ["error spec.hosts[0]: must be a full name for resolution DNS without endpoints"],
  ],
  [
    { hosts: ["a.com"], resolution: "DYNAMIC_DNS" },
    ["error spec.hosts[0]: must be a wildcard for resolution DYNAMIC_DNS"],
  ],
  [
    {
      hosts: ["*.a.com"],
      resolution: "DYNAMIC_DNS",
      addresses: ["192.0.2.1"],
      ports: [...ports, { number: 443, name: "https", protocol: "HTTPS" }, { number: 1, name: "tcp", protocol: "TCP" }],
    },
    [
      "error spec.addresses: must be empty for resolution DYNAMIC_DNS",
      "error spec.ports[1].protocol: must be HTTP, HTTP2, GRPC or TLS for resolution DYNAMIC_DNS",
      "error spec.ports[2].protocol: must be HTTP, HTTP2, GRPC or TLS for resolution DYNAMIC_DNS",
    ],
  ],
  [
    { hosts: ["a.com"], addresses: ["10.0.0.0/8", "x"], resolution: "DNS" },
    [
      "error spec.addresses[0]: a subnet is allowed for resolution NONE and STATIC only",
      'error spec.addresses[1]: "x" is not an IP address or subnet',
    ],
  ],
  [
    { hosts: ["a.com"], ports: [...ports, ...ports] },
    [
      'error spec.ports[1].name: port name "http" is given twice',
      'error spec.ports[1].number: port "80" is given twice',
    ],
  ],
  [
    { hosts: ["a.com"], endpoints: [{ address: "1.1.1.1" }] },
    ["error spec.endpoints: must be empty for resolution NONE"],
  ],
  [
    { hosts: ["a.com"], resolution: "STATIC", endpoints: [{ address: "b.com", ports: { grpc: 1 } }] },
    [
      'error spec.endpoints[0].address: "b.com" is not an IP address',
      'error spec.endpoints[0].ports.grpc: "grpc" is not a port of the service entry',
    ],
  ],
  [
    { hosts: ["a.com"], resolution: "STATIC" },
    ["warning spec: has no endpoints: give endpoints or workloadSelector for resolution STATIC"],
  ],
  [
    {
      hosts: ["a.com"],
      resolution: "STATIC",
      workloadSelector: { labels: { a: "b" } },
      endpoints: [{ address: "1.1.1.1" }],
    },
    ["error spec.endpoints: cannot stand together with workloadSelector"],
  ],
  [
    { hosts: ["a.com"], resolution: "DNS_ROUND_ROBIN", endpoints: [{ address: "b.com" }, { address: "c.com" }] },
    ["error spec.endpoints: must be one at most for resolution DNS_ROUND_ROBIN"],
  ],
  [
    { hosts: ["a.com", "b.com"], ports: [{ number: 1, name: "x" }], addresses: ["10.0.0.1"], resolution: "STATIC" },
    [
      "warning spec: has no endpoints: give endpoints or workloadSelector for resolution STATIC",
      "error spec.ports[0].protocol: must be HTTP or TLS, because the service entry has several hosts",
    ],
  ],
  [
    {
      hosts: ["a.com", "b.com"],
      ports: [{ number: 1, name: "x", protocol: "tls" }],
      addresses: ["10.0.0.1"],
      resolution: "DNS",
    },
    ["warning spec.hosts: several hosts cannot share an address for TCP or TLS"],
  ],
  [
    { hosts: ["*a.com", "*a.com"], ports: [{ number: 0, name: "a.b", protocol: "SMTP" }] },
    [
      'warning spec.hosts[0]: "*a.com": a wildcard should be a whole label, as in "*.example.com"',
      'warning spec.hosts[1]: host "*a.com" is given twice',
      'warning spec.hosts[1]: "*a.com": a wildcard should be a whole label, as in "*.example.com"',
      "error spec.ports[0].number: must be a port from 1 to 65535",
      'error spec.ports[0].name: "a.b" is not a valid name of a port',
      'error spec.ports[0].protocol: "SMTP" is not a protocol',
    ],
  ],
  [
    { hosts: ["a.com"], ports: [{ number: 1, name: "x", protocol: "TCP" }] },
    ["warning spec.ports[0]: takes all TCP traffic of its port: give the service addresses"],
  ],
  [
    { hosts: ["*.a.com"], resolution: "DNS", workloadSelector: { labels: { "a*": "b", "c d": "e" } } },
    [
      'error spec.workloadSelector.labels["a*"]: "*" has no meaning here: labels are compared as they are',
      "error spec.hosts[0]: must be a full name for resolution DNS without endpoints",
    ],
  ],
  [
    { hosts: ["a.com"], workloadSelector: {} },
    [
      "warning spec.workloadSelector: has no effect for resolution NONE",
      "warning spec.workloadSelector: has no labels, so that it selects every workload of the namespace",
    ],
  ],
  [
    { hosts: ["a.com"], resolution: "DNS", endpoints: [{ network: "n" }, { address: "unix:///x" }] },
    [
      "error spec.endpoints[0].address: is required for resolution DNS",
      "error spec.endpoints[1].address: a Unix socket needs resolution STATIC",
    ],
  ],
  [{ hosts: ["a.com"], exportTo: ["~"] }, []],
  [{ hosts: ["a.com"], exportTo: ["~", "x"] }, ['error spec.exportTo: "~" must stand alone']],
];
test.each(specs)("%j", (spec, expected) => expect(said(spec)).toEqual(expected));

test("a service entry that refuses an address of its own", () => {
  const spec: ServiceEntrySpec = { hosts: ["a.com"], resolution: "DNS", ports: [{ number: 1, name: "x" }] };
  expect(validateServiceEntry(spec)).toEqual([]);
  const labels = { "networking.istio.io/enable-autoallocate-ip": "False" };
  expect(validateServiceEntry(spec, { namespace: "a", labels }).map(({ level }) => level)).toEqual(["warning"]);
});

test("workload entries", () => {
  const of = (spec: Parameters<typeof validateWorkloadEntry>[0]) =>
    validateWorkloadEntry(spec).map(({ path, text }) => `${formatPath(path)}: ${text}`);
  expect(of({ address: "10.0.0.1", ports: { http: 80 } })).toEqual([]);
  expect(of({ network: "n" })).toEqual(['spec.address: is not given: reached only through network "n"']);
  expect(of({ address: "unix:///a/" })).toEqual(["spec.address: must be unix:///path or unix://@name"]);
  expect(of({ address: "1.2.3.300" })).toEqual(['spec.address: "1.2.3.300" is not an IP address or a host name']);
  expect(of({ address: "a.b", ports: { a_b: 1 } })).toEqual(['spec.ports.a_b: "a_b" is not a valid name of a port']);
  expect(of({})).toEqual(["spec.address: is required where no network is given"]);
  expect(of({ address: "a b" })).toEqual(['spec.address: "a b" is not an IP address or a host name']);
  expect(of({ address: "unix://x", ports: { a: 1 } })).toEqual([
    "spec.address: must be unix:///path or unix://@name",
    "spec.ports: must be empty for a Unix socket",
  ]);
  expect(of({ address: "::1", ports: { a: 0 } })).toEqual(["spec.ports.a: must be a port from 1 to 65535"]);
});
