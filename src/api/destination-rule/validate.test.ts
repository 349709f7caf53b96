import { expect, test } from "vitest";
import { formatPath } from "../findings.ts";
import type { DestinationRuleSpec, TrafficPolicy } from "./schema.ts";
import { validateDestinationRule } from "./validate.ts";

const said = (spec: DestinationRuleSpec): readonly string[] =>
  validateDestinationRule(spec, { namespace: "shop" }).map(
    ({ level, path, text }) => `${level} ${formatPath(path)}: ${text}`,
  );

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
  expect(said({ host: "*" })).toEqual([]);
  expect(said({ host: "10.0.0.1" })).toEqual(['error spec.host: "10.0.0.1" is not a valid host name']);
  expect(
    said({ host: "a", subsets: [{ name: "v1" }, { name: "v1" }, { name: "a.b", labels: { "-x": "y z" } }] }),
  ).toEqual([
    'error spec.subsets[2].name: "a.b" is not a valid name: letters, digits and "-", 63 at most',
    'error spec.subsets[2].labels["-x"]: "-x" is not a valid label name',
    'error spec.subsets[2].labels["-x"]: "y z" is not a valid label value',
    'error spec.subsets[1].name: subset "v1" is given twice',
  ]);
  expect(said({ host: "a", exportTo: [".", "."] })).toEqual([
    'error spec.exportTo[1]: "." is namespace "shop", which is given already',
  ]);
});

type PolicyCase = readonly [TrafficPolicy, readonly string[]];
const policies: readonly PolicyCase[] = [
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
    ["warning tls: caCertificates: not used, as ISTIO_MUTUAL brings its own certificates"],
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
      "warning loadBalancer.consistentHash: hashes nothing: none of httpHeaderName, httpCookie, useSourceIp, httpQueryParameterName is set",
    ],
  ],
  [
    { loadBalancer: { consistentHash: { httpHeaderName: "", minimumRingSize: 5, maglev: { tableSize: 7 } } } },
    [
      "error loadBalancer.consistentHash.httpHeaderName: must not be empty",
      "warning loadBalancer.consistentHash.minimumRingSize: is deprecated, use ringHash",
      "error loadBalancer.consistentHash.minimumRingSize: cannot stand together with ringHash or maglev",
    ],
  ],
  [
    {
      loadBalancer: {
        consistentHash: { httpCookie: { name: "c", ttl: "-1s", attributes: [{}, { name: "a" }, { name: "a" }] } },
      },
    },
    [
      "error loadBalancer.consistentHash.httpCookie.ttl: must not be negative",
      "error loadBalancer.consistentHash.httpCookie.attributes[0].name: must not be empty",
      'error loadBalancer.consistentHash.httpCookie.attributes[2].name: attribute "a" is given twice',
    ],
  ],
  ...[0, 4, 100, 5000011].map(
    (tableSize): PolicyCase => [
      { loadBalancer: { consistentHash: { useSourceIp: true, maglev: { tableSize } } } },
      ["error loadBalancer.consistentHash.maglev.tableSize: must be a prime number below 5000011"],
    ],
  ),
  [{ loadBalancer: { consistentHash: { useSourceIp: true, maglev: { tableSize: 65537 } } } }, []],
  [{ loadBalancer: { consistentHash: { httpHeaderName: "x y" } } }, []],
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
    { loadBalancer: { warmup: { duration: "0s", aggression: 0, minimumPercent: 101 } } },
    [
      "error loadBalancer.warmup.duration: must be at least 1ms",
      "error loadBalancer.warmup.minimumPercent: must be from 0 to 100",
      "error loadBalancer.warmup.aggression: must be greater than 0",
    ],
  ],
  [{ loadBalancer: { warmup: { duration: "10s", aggression: 0.5 }, warmupDurationSecs: "0s" } }, []],
  [
    { portLevelSettings: [{ tls: { mode: "DISABLE" } }, { port: { number: 80 } }, { port: {}, tls: {} }] },
    [
      "error portLevelSettings[0].port: is required",
      "error portLevelSettings[1]: must have at least one setting",
      "warning portLevelSettings[2].port.number: is the number of no port",
    ],
  ],
  [
    { tunnel: { protocol: "GET", targetHost: "*.a", targetPort: 0 } },
    [
      "error tunnel.protocol: must be CONNECT or POST",
      'error tunnel.targetHost: "*.a" is not a host name or IP address',
      "error tunnel.targetPort: must be a port from 1 to 65535",
    ],
  ],
  [{ tunnel: { targetHost: "::1", targetPort: 80 } }, []],
  [
    { tunnel: { targetHost: "a.com", targetPort: 80 }, proxyProtocol: {} },
    ["error : tunnel and proxyProtocol cannot stand together"],
  ],
  [{ portLevelSettings: [] }, ["error : must have at least one setting"]],
  [{ retryBudget: {} }, []],
  [{ retryBudget: { percent: 101 } }, ["error retryBudget.percent: must be from 0 to 100"]],
  [
    { connectionPool: { tcp: { idleTimeout: "0s" }, http: { idleTimeout: "0s", http2KeepAlive: { timeout: "1s" } } } },
    [
      "error connectionPool.http.idleTimeout: must be at least 1ms",
      "error connectionPool.http.http2KeepAlive.interval: is required",
    ],
  ],
  [
    { connectionPool: { tcp: { tcpKeepalive: { time: "500ms", interval: "1.5ms" } } } },
    [
      "warning connectionPool.tcp.tcpKeepalive.time: is less than a second: the system counts whole ones, and does not take 0",
      "error connectionPool.tcp.tcpKeepalive.interval: must be whole milliseconds",
      "warning connectionPool.tcp.tcpKeepalive.interval: is less than a second: the system counts whole ones, and does not take 0",
    ],
  ],
  [
    { outlierDetection: { interval: "0s", consecutiveErrors: 1, outlierDetectionHttpErrorCodes: [600] } },
    [
      "error outlierDetection.interval: must be at least 1ms",
      "warning outlierDetection.consecutiveErrors: is deprecated, use consecutive5xxErrors or consecutiveGatewayErrors",
      "warning outlierDetection.outlierDetectionHttpErrorCodes[0]: is no HTTP status: they go from 100 to 599",
    ],
  ],
  [
    { tls: { mode: "SIMPLE", insecureSkipVerify: true, credentialName: "x" } },
    ["error tls.credentialName: cannot stand together with insecureSkipVerify"],
  ],
  [{ tls: { mode: "MUTUAL", insecureSkipVerify: true, credentialName: "x" } }, []],
  [{ tls: { insecureSkipVerify: true, caCertificates: "/x" } }, []],
  [{ tls: { mode: "SIMPLE", credentialName: "configmap://shop/x" } }, []],
  [
    { tls: { mode: "SIMPLE", credentialName: "configmap://other/x" } },
    ['error tls.credentialName: must be of namespace "shop"'],
  ],
  [
    { tls: { mode: "DISABLE", credentialName: "configmap://x" } },
    ["error tls.credentialName: must be configmap://NAMESPACE/NAME"],
  ],
];
test.each(policies)("traffic policy %j", (trafficPolicy, expected) => {
  const lines = said({ host: "a", trafficPolicy }).map((line) => line.replace(/spec\.trafficPolicy\.?/, ""));
  expect(lines).toEqual(expected);
});

type Locality = NonNullable<NonNullable<TrafficPolicy["loadBalancer"]>["localityLbSetting"]>;
const spread = (...from: readonly string[]): Locality => ({
  distribute: from.map((name) => ({ from: name, to: { z: 100 } })),
});
const localities: readonly (readonly [Locality, readonly string[]])[] = [
  [spread("a/b/*", "a/c", "d"), []],
  [spread("a/b/c/d"), []],
  [spread("a/b", "a/*", "b/*"), []],
  [spread("a", "a/b"), ['error distribute[1].from: "a/b" is part of a locality that is given before']],
  [spread("a/*", "a/b/c"), ['error distribute[1].from: "a/b/c" is part of a locality that is given before']],
  [spread("*", "q"), ['error distribute[1].from: "q" is part of a locality that is given before']],
  [spread("*/b"), ['error distribute[0].from: "*/b": a "*" can stand at the end only']],
  [spread("a//b"), ["error distribute[0].from: must not have an empty part"]],
  [{ distribute: [{ to: { a: 100 } }] }, ["error distribute[0].from: is required"]],
  [
    { distribute: [{ from: "a", to: { a: 0, b: 101 } }] },
    [
      "error distribute[0].to.a: must be from 1 to 100",
      "error distribute[0].to.b: must be from 1 to 100",
      "error distribute[0].to: the shares add up to 101 and not to 100",
    ],
  ],
  [{ ...spread("a"), failoverPriority: ["x"] }, []],
  [{ ...spread("a"), failover: [{ from: "a", to: "b" }] }, ["error : distribute cannot stand together with failover"]],
  [
    { failover: [{ from: "a", to: "b" }], failoverPriority: ["x", "topology.kubernetes.io/zone"] },
    [
      "error failoverPriority: topology.kubernetes.io/zone cannot stand together with failover, which orders by locality itself",
    ],
  ],
  [{ failover: [{}] }, ["error failover[0]: from and to must be different regions"]],
  [
    { failover: [{ from: "a/b", to: "*" }] },
    ["error failover[0].from: must be a region only", "error failover[0].to: must be a region only"],
  ],
];
test.each(localities)("locality settings %j", (localityLbSetting, expected) => {
  const lines = said({ host: "a", trafficPolicy: { loadBalancer: { localityLbSetting }, outlierDetection: {} } });
  expect(lines.map((line) => line.replace(/spec\.trafficPolicy\.loadBalancer\.localityLbSetting\.?/, ""))).toEqual(
    expected,
  );
});

test("zone-aware routing orders by locality itself", () => {
  const zoneAwareLbSetting = { failoverPriority: ["topology.istio.io/subzone"], minClusterSize: 3 };
  expect(said({ host: "a", trafficPolicy: { loadBalancer: { zoneAwareLbSetting } } })).toEqual([
    "error spec.trafficPolicy.loadBalancer.zoneAwareLbSetting.failoverPriority[0]: topology.istio.io/subzone is not needed: zone-aware routing orders by locality itself",
    "warning spec.trafficPolicy.loadBalancer.zoneAwareLbSetting: failover has no effect without outlierDetection",
  ]);
});

test("a rule for some workloads stays in its namespace", () => {
  const workloadSelector = { matchLabels: { app: "a", "x y": "*" } };
  expect(said({ host: "a", workloadSelector, exportTo: ["shop"] })).toEqual([
    'error spec.workloadSelector.matchLabels["x y"]: "*" has no meaning here: labels are compared as they are',
  ]);
  expect(said({ host: "a", workloadSelector: {}, exportTo: ["*"] })).toEqual([
    "warning spec.workloadSelector: has no labels, so that it selects every workload of the namespace",
    'error spec.exportTo[0]: must be "." for a rule with workloadSelector',
  ]);
  expect(said({ host: "a", exportTo: ["~"] })).toEqual(['error spec.exportTo[0]: "~" is for services only']);
  expect(said({ host: "a", exportTo: [".", "shop"] })).toEqual(['error spec.exportTo[1]: "shop" is given twice']);
});
