import { expect, test } from "vitest";
import { formatPath } from "../findings.ts";
import type { DestinationRuleSpec, TrafficPolicy } from "./schema.ts";
import { validateDestinationRule } from "./validate.ts";

const said = (spec: DestinationRuleSpec): readonly string[] =>
  validateDestinationRule(spec).map(({ level, path, text }) => `${level} ${formatPath(path)}: ${text}`);

test("a good one has nothing to say against it", () => {
  const spec: DestinationRuleSpec = {
    host: "*.a.com",
    trafficPolicy: {
      loadBalancer: {
        consistentHash: { httpCookie: { name: "c", ttl: "0s" } },
        localityLbSetting: { failover: [{ from: "a", to: "b" }] },
      },
      outlierDetection: { consecutive5xxErrors: 3, interval: "1s" },
      tls: { mode: "MUTUAL", credentialName: "x" },
    },
    subsets: [{ name: "v1", labels: { version: "v1" } }, { name: "all" }],
  };
  expect(said(spec)).toEqual([]);
});

test("hosts, subsets and exportTo", () => {
  expect(said({ host: "*" })).toEqual(['error spec.host: must be a host, not "*"']);
  expect(
    said({ host: "a", subsets: [{ name: "v1" }, { name: "v1" }, { name: "a.b", labels: { "-x": "y z" } }] }),
  ).toEqual([
    'error spec.subsets[2].name: "a.b" is not a valid name: letters, digits and "-", 63 at most',
    'error spec.subsets[2].labels["-x"]: "-x" is not a valid label name',
    'error spec.subsets[2].labels["-x"]: "y z" is not a valid label value',
    'error spec.subsets[1].name: subset "v1" is given twice',
  ]);
  expect(said({ host: "a", exportTo: [".", "."] })).toEqual(['error spec.exportTo[1]: "." is given twice']);
});

const policies: readonly (readonly [TrafficPolicy, readonly string[]])[] = [
  [{}, ["error : must have at least one setting"]],
  [{ connectionPool: {} }, ["error connectionPool: one of tcp, http is required"]],
  [
    {
      connectionPool: {
        tcp: { maxConnections: -1, connectTimeout: "0s" },
        http: { h2UpgradePolicy: "UPGRADE", useClientProtocol: true },
      },
    },
    [
      "error connectionPool.tcp.maxConnections: must not be negative",
      "error connectionPool.tcp.connectTimeout: must be at least 1ms",
      "error connectionPool.http.useClientProtocol: cannot stand together with h2UpgradePolicy UPGRADE",
    ],
  ],
  [
    { outlierDetection: { maxEjectionPercent: 101 } },
    ["error outlierDetection.maxEjectionPercent: must be from 0 to 100"],
  ],
  [
    { outlierDetection: { consecutiveLocalOriginFailures: 1 } },
    ["error outlierDetection.consecutiveLocalOriginFailures: needs splitExternalLocalOriginErrors: true"],
  ],
  [
    { tls: { mode: "MUTUAL" } },
    [
      "error tls.clientCertificate: is required for MUTUAL without credentialName",
      "error tls.privateKey: is required for MUTUAL without credentialName",
    ],
  ],
  [
    { tls: { mode: "ISTIO_MUTUAL", caCertificates: "/x" } },
    ["error tls: caCertificates cannot stand together with ISTIO_MUTUAL, which brings its own certificates"],
  ],
  [
    { tls: { mode: "SIMPLE", credentialName: "x", caCertificates: "/x" } },
    ["error tls: only one of credentialName, caCertificates may be set"],
  ],
  [
    { tls: { mode: "SIMPLE", insecureSkipVerify: true, subjectAltNames: ["a"] } },
    ["error tls.subjectAltNames: cannot stand together with insecureSkipVerify"],
  ],
  [
    { loadBalancer: { simple: "RANDOM", consistentHash: { useSourceIp: true } } },
    ["error loadBalancer: only one of simple, consistentHash may be set"],
  ],
  [
    { loadBalancer: { consistentHash: {} } },
    [
      "error loadBalancer.consistentHash: one of httpHeaderName, httpCookie, useSourceIp, httpQueryParameterName is required",
    ],
  ],
  [
    { loadBalancer: { consistentHash: { useSourceIp: true, maglev: { tableSize: 100 } } } },
    ["error loadBalancer.consistentHash.maglev.tableSize: must be a prime number up to 5000011"],
  ],
  [
    { loadBalancer: { localityLbSetting: { distribute: [{ from: "a/*", to: { a: 50, b: 49 } }] } } },
    ["error loadBalancer.localityLbSetting.distribute[0].to: the shares add up to 99 and not to 100"],
  ],
  [
    { loadBalancer: { localityLbSetting: { failover: [{ from: "a", to: "a" }] } }, outlierDetection: {} },
    ["error loadBalancer.localityLbSetting.failover[0]: from and to must be different regions"],
  ],
  [
    { loadBalancer: { localityLbSetting: { failoverPriority: ["x"] } } },
    ["warning loadBalancer.localityLbSetting: failover has no effect without outlierDetection"],
  ],
  [
    { loadBalancer: { warmup: { duration: "0s", aggression: 0.5 } } },
    [
      "error loadBalancer.warmup.duration: must be at least 1ms",
      "error loadBalancer.warmup.aggression: must be at least 1",
    ],
  ],
  [
    { portLevelSettings: [{ tls: { mode: "DISABLE" } }] },
    ["error portLevelSettings[0].port.number: must be a port from 1 to 65535"],
  ],
  [
    { tunnel: { protocol: "GET", targetHost: "*.a", targetPort: 0 } },
    [
      "error tunnel.protocol: must be CONNECT or POST",
      "error tunnel.targetHost: must not be a wildcard",
      "error tunnel.targetPort: must be a port from 1 to 65535",
    ],
  ],
];
test.each(policies)("traffic policy %j", (trafficPolicy, expected) => {
  const lines = said({ host: "a", trafficPolicy }).map((line) => line.replace(/spec\.trafficPolicy\.?/, ""));
  expect(lines).toEqual(expected);
});
