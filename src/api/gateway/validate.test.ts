import { expect, test } from "vitest";
import { formatPath } from "../findings.ts";
import type { GatewaySpec, Server } from "./schema.ts";
import { validateGateway } from "./validate.ts";

const said = (spec: GatewaySpec): readonly string[] =>
  validateGateway(spec, { name: "a" }).map(({ level, path, text }) => `${level} ${formatPath(path)}: ${text}`);
const http: Server = { port: { number: 80, name: "http", protocol: "HTTP" }, hosts: ["*"] };
const https: Server = {
  port: { number: 443, name: "https", protocol: "HTTPS" },
  hosts: ["ns/*.a.com", "./b.com", "*/c.d", "./*", "10.0.0.1"],
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
  [{ ...http, hosts: ["a/b/c"] }, ['error hosts[0]: "b/c" is not a valid host name']],
  [{ ...http, hosts: ["c"] }, ['error hosts[0]: "c" must be a full name, such as "c.default.svc.cluster.local"']],
  [{ ...http, hosts: ["ns/"] }, ['error hosts[0]: "" is not a valid host name']],
  [{ ...http, hosts: ["a.1"] }, ['error hosts[0]: "a.1" is not a valid host name']],
  [{ ...http, hosts: ["~/a.com"] }, ['error hosts[0]: "~" is not a namespace, "." or "*"']],
  [{ ...http, hosts: ["ns/a..b"] }, ['error hosts[0]: "a..b" is not a valid host name']],
  [{ ...http, port: { ...http.port, number: 70000 } }, ["error port.number: must be a port from 1 to 65535"]],
  [{ ...http, port: { ...http.port, protocol: "HTP" } }, ['error port.protocol: "HTP" is not a known protocol']],
  [{ ...http, bind: "nowhere" }, ['error bind: "nowhere" is not an IP address or unix:// path']],
  [
    { ...http, tls: { mode: "SIMPLE", credentialName: "x" } },
    ["error tls: HTTP can have httpsRedirect only: use HTTPS or TLS"],
  ],
  [{ ...http, tls: { mode: "PASSTHROUGH", httpsRedirect: true } }, []],
  [
    { ...http, port: { ...http.port, protocol: "TCP" }, tls: { httpsRedirect: true } },
    [
      "warning tls.httpsRedirect: has an effect on plain HTTP servers only",
      "error tls: TCP cannot have it: use HTTPS or TLS",
    ],
  ],
  [{ port: https.port, hosts: ["*"] }, ["error tls: is required for HTTPS"]],
  [
    { ...https, hosts: ["ns/*-x.a.com"] },
    ['error hosts[0]: "*-x.a.com": a wildcard must be a whole label, as in "*.example.com"'],
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
    { ...https, tls: { mode: "ISTIO_MUTUAL", credentialName: "x", privateKey: "k" } },
    ["error tls: ISTIO_MUTUAL brings its own certificates: privateKey, credentialName must not be given"],
  ],
  [
    {
      ...https,
      tls: { mode: "SIMPLE", credentialName: "x", minProtocolVersion: "TLSV1_3", maxProtocolVersion: "TLSV1_2" },
    },
    ["warning tls.minProtocolVersion: is above maxProtocolVersion: no client can connect"],
  ],
  [
    { ...https, tls: { mode: "OPTIONAL_MUTUAL", serverCertificate: "c", privateKey: "k" } },
    ["error tls.caCertificates: is required for OPTIONAL_MUTUAL without credentialName"],
  ],
  [
    { ...https, tls: { mode: "SIMPLE", tlsCertificates: [{ serverCertificate: "c" }] } },
    ["error tls.tlsCertificates[0].privateKey: is required"],
  ],
  [
    { ...https, tls: { mode: "SIMPLE", tlsCertificates: Array(3).fill({ serverCertificate: "c", privateKey: "k" }) } },
    ["warning tls.tlsCertificates: more than two certificates have no effect"],
  ],
  [
    { ...https, tls: { mode: "PASSTHROUGH", credentialName: "x", credentialNames: ["y"] } },
    [
      "warning tls: certificates have no effect in mode PASSTHROUGH",
      "error tls: only one of credentialName, credentialNames may be set",
    ],
  ],
  [
    { ...https, tls: { caCrl: "/crl", credentialName: "x" } },
    [
      "warning tls: certificates have no effect in mode PASSTHROUGH",
      "error tls.caCrl: cannot stand together with credentialName, whose secret may hold it",
    ],
  ],
  [{ ...https, tls: { mode: "MUTUAL", caCrl: "/crl", credentialName: "x" } }, []],
  [
    { ...https, tls: { mode: "SIMPLE", caCrl: "/crl", serverCertificate: "c", privateKey: "k" } },
    ["error tls.caCrl: cannot stand with SIMPLE, which asks no client"],
  ],
  [
    {
      ...https,
      tls: { mode: "SIMPLE", credentialName: "x", cipherSuites: ["AES128-SHA", "AES128-SHA", "NO", "-ALL"] },
    },
    [
      'warning tls.cipherSuites[1]: "AES128-SHA" is given twice',
      'warning tls.cipherSuites[2]: "NO" is not known and has no effect',
    ],
  ],
  [
    { ...https, tls: { mode: "SIMPLE", credentialName: "x", minProtocolVersion: "TLSV1_0" } },
    ["warning tls.minProtocolVersion: below 1.2 needs cipherSuites that go with it"],
  ],
  [{ ...http, bind: "unix:///run/a", port: { ...http.port, number: 0 } }, []],
  [
    { ...http, bind: "unix://@a", port: { ...http.port, number: 80 } },
    ["error port.number: must be 0 for a Unix socket"],
  ],
  [
    { ...http, bind: "unix://run/", port: { ...http.port, number: 0 } },
    ['error bind: "unix://run/" is not the absolute path of a socket, as in unix:///var/run/app.sock'],
  ],
  [{ ...http, port: { ...http.port, targetPort: 1 } }, ["error port.targetPort: has no meaning for a gateway"]],
  [{ ...http, port: { ...http.port, protocol: "HBONE" } }, ['error port.protocol: "HBONE" is not a known protocol']],
  [
    { ...http, port: { ...http.port, protocol: "MONGO" }, tls: { mode: "PASSTHROUGH" } },
    ["error tls: MONGO cannot have it: use HTTPS or TLS"],
  ],
];
test.each(servers)("server %j", (server, expected) => {
  expect(said({ servers: [server] }).map((line) => line.replace("spec.servers[0].", ""))).toEqual(expected);
});

test("names are labels, and names of servers may stand twice", () => {
  const named = { ...http, name: "s" };
  const servers = [named, { ...named, port: { ...http.port, name: "other" } }];
  const of = (name: string) =>
    validateGateway({ servers }, { name }).map(({ level, path }) => [level, formatPath(path)]);
  expect(of("a.b")).toEqual([
    ["error", "metadata.name"],
    ["warning", "spec.servers[1].name"],
  ]);
});
