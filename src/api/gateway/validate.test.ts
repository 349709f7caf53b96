import { expect, test } from "vitest";
import { formatPath } from "../findings.ts";
import type { GatewaySpec, Server } from "./schema.ts";
import { validateGateway } from "./validate.ts";

const said = (spec: GatewaySpec): readonly string[] =>
  validateGateway(spec).map(({ level, path, text }) => `${level} ${formatPath(path)}: ${text}`);
const http: Server = { port: { number: 80, name: "http", protocol: "HTTP" }, hosts: ["*"] };
const https: Server = {
  port: { number: 443, name: "https", protocol: "HTTPS" },
  hosts: ["ns/*.a.com", "./b.com", "*/c"],
  tls: { mode: "SIMPLE", credentialName: "x" },
};

test("a good one has nothing to say against it", () => {
  expect(
    said({ selector: { istio: "ingressgateway" }, servers: [{ ...http, tls: { httpsRedirect: true } }, https] }),
  ).toEqual([]);
});

test("servers are needed and their ports have names of their own", () => {
  expect(said({})).toEqual(["error spec.servers: at least one server is required"]);
  expect(said({ servers: [http, { ...http, port: { ...http.port, number: 81 } }] })).toEqual([
    'error spec.servers[1].port.name: port name "http" is given twice',
  ]);
});

const servers: readonly (readonly [Server, readonly string[]])[] = [
  [{ ...http, hosts: [] }, ["error hosts: at least one host is required"]],
  [{ ...http, hosts: ["a/b/c"] }, ['error hosts[0]: "a/b/c" must be host or namespace/host']],
  [{ ...http, hosts: ["~/a.com"] }, ['error hosts[0]: "~" is not a namespace, "." or "*"']],
  [{ ...http, hosts: ["ns/a..b"] }, ['error hosts[0]: "a..b" is not a valid host name']],
  [{ ...http, port: { ...http.port, number: 70000 } }, ["error port.number: must be a port from 1 to 65535"]],
  [{ ...http, port: { ...http.port, protocol: "HTP" } }, ['error port.protocol: "HTP" is not a known protocol']],
  [{ ...http, bind: "nowhere" }, ['error bind: "nowhere" is not an IP address or unix:// path']],
  [{ ...http, tls: { mode: "SIMPLE" } }, ["error tls: HTTP can have httpsRedirect only: use HTTPS or TLS"]],
  [{ ...http, tls: { mode: "PASSTHROUGH", httpsRedirect: true } }, []],
  [
    { ...http, port: { ...http.port, protocol: "TCP" }, tls: { httpsRedirect: true } },
    ["error tls: TCP cannot have it: use HTTPS or TLS"],
  ],
  [{ port: https.port, hosts: ["*"] }, ["error tls: is required for HTTPS"]],
  [
    { ...https, hosts: ["ns/*-x.a.com"] },
    [
      'warning hosts[0]: "*-x.a.com" gets no connections: in TLS a wildcard must be a whole label, as in "*.example.com"',
    ],
  ],
  [
    { ...https, tls: { mode: "SIMPLE", credentialName: "x", httpsRedirect: true } },
    ["warning tls.httpsRedirect: has an effect on plain HTTP servers only"],
  ],
  [
    { ...https, tls: { mode: "SIMPLE" } },
    [
      "error tls.serverCertificate: is required for SIMPLE without credentialName",
      "error tls.privateKey: is required for SIMPLE without credentialName",
    ],
  ],
  [
    { ...https, tls: { mode: "MUTUAL", serverCertificate: "c", privateKey: "k" } },
    ["error tls.caCertificates: is required for MUTUAL without credentialName"],
  ],
  [
    { ...https, tls: { mode: "ISTIO_MUTUAL", credentialName: "x" } },
    ["error tls: ISTIO_MUTUAL brings its own certificates: none may be given"],
  ],
  [
    {
      ...https,
      tls: { mode: "SIMPLE", credentialName: "x", minProtocolVersion: "TLSV1_3", maxProtocolVersion: "TLSV1_2" },
    },
    ["error tls.minProtocolVersion: must not be above maxProtocolVersion"],
  ],
];
test.each(servers)("server %j", (server, expected) => {
  expect(said({ servers: [server] }).map((line) => line.replace("spec.servers[0].", ""))).toEqual(expected);
});
