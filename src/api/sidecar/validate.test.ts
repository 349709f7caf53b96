import { expect, test } from "vitest";
import { formatPath } from "../findings.ts";
import { validatePeerAuthentication } from "../peer-authentication/validate.ts";
import type { SidecarSpec } from "./schema.ts";
import { validateSidecar } from "./validate.ts";

const said = (spec: SidecarSpec): readonly string[] =>
  validateSidecar(spec).map(({ level, path, text }) => `${level} ${formatPath(path)}: ${text}`);
const port = { number: 80, name: "http", protocol: "HTTP" };

test("good ones have nothing to say against them", () => {
  expect(said({ egress: [{ hosts: ["./*", "*/a.com", "prod/*.b.com", "~prod/x.com"] }] })).toEqual([]);
  expect(said({ egress: [{ hosts: ["~/*"] }], ingress: [{ port, defaultEndpoint: "127.0.0.1:8080" }] })).toEqual([]);
});

const specs: readonly (readonly [SidecarSpec, readonly string[]])[] = [
  [{}, ["error spec: one of ingress, egress, outboundTrafficPolicy, inboundConnectionPool is required"]],
  [{ egress: [{ hosts: [] }] }, ["error spec.egress[0].hosts: at least one host is required"]],
  [
    { egress: [{ hosts: ["a.com"] }] },
    ['error spec.egress[0].hosts[0]: "a.com" must be namespace/host, such as "./*" or "prod/api.example.com"'],
  ],
  [{ egress: [{ hosts: ["~/a.com"] }] }, ['error spec.egress[0].hosts[0]: only "~/*" has a meaning: no hosts at all']],
  [
    { egress: [{ hosts: ["./*"] }, { port, hosts: ["./*"] }] },
    ["error spec.egress[0]: a listener without port must be the last one"],
  ],
  [
    { ingress: [{ port, defaultEndpoint: "10.0.0.1:80" }, { port }] },
    [
      "error spec.ingress[0].defaultEndpoint: must be 127.0.0.1:PORT, 0.0.0.0:PORT, [::1]:PORT, [::]:PORT or unix:///path",
      "error spec.ingress[1].port.number: port 80 is given twice",
    ],
  ],
  [
    { ingress: [{ port: { name: "x" }, bind: "x" }] },
    [
      "error spec.ingress[0].port.number: must be a port from 1 to 65535",
      'error spec.ingress[0].bind: "x" is not an IP address or unix:// path',
    ],
  ],
];
test.each(specs)("%j", (spec, expected) => expect(said(spec)).toEqual(expected));

test("peer authentications", () => {
  const of = (spec: Parameters<typeof validatePeerAuthentication>[0]) =>
    validatePeerAuthentication(spec).map(({ path, text }) => `${formatPath(path)}: ${text}`);
  const selector = { matchLabels: { app: "a" } };
  expect(of({ selector, mtls: { mode: "STRICT" }, portLevelMtls: { "8080": { mode: "DISABLE" } } })).toEqual([]);
  expect(of({ portLevelMtls: { "8080": {} } })).toEqual(["spec.portLevelMtls: needs a selector"]);
  expect(of({ selector, portLevelMtls: {} })).toEqual(["spec.portLevelMtls: must name at least one port"]);
  expect(of({ selector, portLevelMtls: { http: {} } })).toEqual([
    "spec.portLevelMtls.http: must be a port from 1 to 65535",
  ]);
});
