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
      'error spec.endpoints[0].ports.grpc: "grpc" is not a port of the service entry',
      'error spec.endpoints[0].address: "b.com" must be an IP address for resolution STATIC',
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
];
test.each(specs)("%j", (spec, expected) => expect(said(spec)).toEqual(expected));

test("workload entries", () => {
  const of = (spec: Parameters<typeof validateWorkloadEntry>[0]) =>
    validateWorkloadEntry(spec).map(({ path, text }) => `${formatPath(path)}: ${text}`);
  expect(of({ address: "10.0.0.1", ports: { http: 80 } })).toEqual([]);
  expect(of({ network: "n" })).toEqual([]);
  expect(of({})).toEqual(["spec.address: is required where no network is given"]);
  expect(of({ address: "a b" })).toEqual(['spec.address: "a b" is not an IP address or a host name']);
  expect(of({ address: "unix://x", ports: { a: 1 } })).toEqual([
    "spec.address: must be unix:///path or unix://@name",
    "spec.ports: must be empty for a Unix socket",
  ]);
  expect(of({ address: "::1", ports: { a: 0 } })).toEqual(["spec.ports.a: must be a port from 1 to 65535"]);
});
