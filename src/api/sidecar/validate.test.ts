import { expect, test } from "vitest";
import { formatPath } from "../findings.ts";
import type { SidecarSpec } from "./schema.ts";
import { validateSidecar } from "./validate.ts";

const said = (spec: SidecarSpec): readonly string[] =>
  validateSidecar(spec, { namespace: "shop" }).map(({ level, path, text }) => `${level} ${formatPath(path)}: ${text}`);
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
  [{ egress: [{ hosts: ["~/a.com"] }] }, []],
  [
    { egress: [{ hosts: ["/a.com", "x y/b.com", "./c", "./*-d.com", "./10.0.0.1"] }] },
    [
      'error spec.egress[0].hosts[0]: "" is not a namespace, ".", "*" or "~"',
      'error spec.egress[0].hosts[1]: "x y" is not a namespace, ".", "*" or "~"',
      'error spec.egress[0].hosts[2]: "c" must be a full name, such as "c.default.svc.cluster.local"',
      'error spec.egress[0].hosts[3]: "*-d.com": a wildcard must be a whole label, as in "*.example.com"',
      'error spec.egress[0].hosts[4]: "10.0.0.1" is not a valid host name',
    ],
  ],
  [
    { egress: [{ hosts: ["./*", "shop/a.com", "*/*"] }] },
    [
      'warning spec.egress[0].hosts[1]: "shop/a.com" and a host before it hold the same',
      'warning spec.egress[0].hosts: "*/*" stands for all hosts: the others add nothing',
    ],
  ],
  [
    {
      egress: [
        { port: { number: 80 }, hosts: ["./*"] },
        { bind: "1.2.3.4", hosts: ["*/*"] },
      ],
    },
    ["warning spec.egress[1].bind: has no effect without a port"],
  ],
  [
    {
      egress: [
        { port: {}, bind: "unix:///a", hosts: ["./*"] },
        { port: { number: 0 }, bind: "unix:///a", captureMode: "IPTABLES", hosts: ["./*"] },
      ],
    },
    [
      "error spec.egress[1].captureMode: must be DEFAULT or NONE for a Unix socket",
      "error spec.egress[1].port.number: port unix:///a is given twice",
    ],
  ],
  [
    { egress: [{ port: {}, hosts: ["./*"] }] },
    ["error spec.egress[0].port.number: must be a port from 1 to 65535 where bind is not a Unix socket"],
  ],
  [
    { egress: [{ port: { number: 1, name: "a_b", protocol: "x", targetPort: 1 }, bind: "unix:///a", hosts: ["./*"] }] },
    [
      'error spec.egress[0].port.name: "a_b" is not a valid port name',
      'error spec.egress[0].port.protocol: "x" is not a known protocol',
      "error spec.egress[0].port.targetPort: has no meaning for a sidecar",
      'error spec.egress[0].bind: "unix:///a" is not an IP address',
    ],
  ],
  [
    {
      ingress: [
        { port, defaultEndpoint: ":8080" },
        { port: { number: 81 }, defaultEndpoint: "unix://@a" },
      ],
    },
    [],
  ],
  [
    {
      ingress: [
        { port, defaultEndpoint: "unix://a" },
        { port: { number: 81 }, defaultEndpoint: "[::1]:0" },
      ],
    },
    [
      'error spec.ingress[0].defaultEndpoint: "unix://a" is not the absolute path of a socket, as in unix:///var/run/app.sock',
      "error spec.ingress[1].defaultEndpoint: must be a port from 1 to 65535",
    ],
  ],
  [
    { ingress: [{ port: { ...port, protocol: "TCP" }, connectionPool: { http: {} } }] },
    ["warning spec.ingress[0].connectionPool.http: has no effect on a port that is not HTTP"],
  ],
  [{ ingress: [{ port, connectionPool: {} }] }, ["error spec.ingress[0].connectionPool: one of tcp, http is required"]],
  [
    {
      ingress: [
        { port: { ...port, protocol: "HTTPS" }, tls: { mode: "SIMPLE", serverCertificate: "c", privateKey: "k" } },
      ],
    },
    [],
  ],
  [
    { ingress: [{ port, tls: { mode: "ISTIO_MUTUAL", httpsRedirect: true, subjectAltNames: ["a"] } }] },
    [
      "error spec.ingress[0].tls.httpsRedirect: is not possible on a sidecar",
      "error spec.ingress[0].tls.subjectAltNames: is not possible on a sidecar",
      "error spec.ingress[0].tls.mode: ISTIO_MUTUAL is not possible on a sidecar",
      "error spec.ingress[0].tls: HTTP cannot have it: use HTTPS or TLS",
    ],
  ],
  [
    { workloadSelector: {}, egress: [{ hosts: ["./*"] }] },
    ["warning spec.workloadSelector: has no labels, so that it selects every workload of the namespace"],
  ],
  [
    { outboundTrafficPolicy: { mode: "ALLOW_ANY_DYNAMIC_DNS" } },
    ["error spec.outboundTrafficPolicy.mode: must be REGISTRY_ONLY or ALLOW_ANY here: it is for the whole mesh"],
  ],
  [{ outboundTrafficPolicy: {} }, []],
  [{ outboundTrafficPolicy: { mode: "ALLOW_ANY", egressProxy: { host: "a.com", port: { number: 80 } } } }, []],
  [
    { outboundTrafficPolicy: { egressProxy: { host: "*.com", subset: "a.b" } } },
    [
      "error spec.outboundTrafficPolicy.egressProxy: needs mode ALLOW_ANY",
      "error spec.outboundTrafficPolicy.egressProxy.host: must not be a wildcard or number",
      'error spec.outboundTrafficPolicy.egressProxy.subset: "a.b" is not a valid name of a subset',
      "error spec.outboundTrafficPolicy.egressProxy.port.number: must be a port from 1 to 65535",
    ],
  ],
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
      'error spec.ingress[0].bind: "x" is not an IP address',
    ],
  ],
];
test.each(specs)("%j", (spec, expected) => expect(said(spec)).toEqual(expected));
