/** Settings that validation permits, in YAML's flow style: the table behind policies.test.ts. */

export const outboundProtocols = ["HTTP", "HTTP2", "GRPC", "TCP", "TLS", "HTTPS", "MONGO"] as const;

export const resolutions = ["STATIC", "DNS", "DNS_ROUND_ROBIN", "NONE"] as const;

export const trafficPolicies: readonly string[] = [
  "{loadBalancer: {simple: RANDOM}}",
  "{loadBalancer: {simple: PASSTHROUGH}}",
  "{loadBalancer: {simple: LEAST_REQUEST, warmup: {duration: 10s, minimumPercent: 0, aggression: 2}}}",
  "{loadBalancer: {simple: ROUND_ROBIN, warmupDurationSecs: 10s}}",
  "{loadBalancer: {simple: ROUND_ROBIN, warmup: {duration: 10s, minimumPercent: 50.5}}}",
  "{loadBalancer: {consistentHash: {httpHeaderName: x-user}}}",
  "{loadBalancer: {consistentHash: {httpCookie: {name: c, path: /, ttl: 0s, attributes: [{name: SameSite, value: Lax}]}, ringHash: {minimumRingSize: 64}}}}",
  "{loadBalancer: {consistentHash: {httpCookie: {name: c}}}}",
  "{loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: 251}}}}",
  "{loadBalancer: {consistentHash: {httpQueryParameterName: q, maglev: {tableSize: 11}}}}",
  "{loadBalancer: {consistentHash: {useSourceIp: true, minimumRingSize: 4096}}}",
  "{loadBalancer: {localityLbSetting: {enabled: true, distribute: [{from: '*', to: {east/a: 70, west/b: 30}}]}}}",
  "{loadBalancer: {localityLbSetting: {failover: [{from: east, to: west}]}}, outlierDetection: {consecutive5xxErrors: 1}}",
  "{loadBalancer: {localityLbSetting: {failoverPriority: [version, 'topology.kubernetes.io/region']}}, outlierDetection: {consecutive5xxErrors: 1}}",
  "{connectionPool: {tcp: {maxConnections: 1}}}",
  "{connectionPool: {tcp: {connectTimeout: 1ms, tcpKeepalive: {probes: 1, time: 1s, interval: 1s}}}}",
  "{connectionPool: {tcp: {connectTimeout: 1s, tcpKeepalive: {}}}}",
  "{connectionPool: {tcp: {maxConnectionDuration: 60s, idleTimeout: 10s}}}",
  "{connectionPool: {tcp: {idleTimeout: 0s}}}",
  "{connectionPool: {http: {http1MaxPendingRequests: 1, http2MaxRequests: 1, maxRetries: 1}}}",
  "{connectionPool: {http: {maxRequestsPerConnection: 1}}}",
  "{connectionPool: {http: {maxRequestsPerConnection: 1, idleTimeout: 1s, useClientProtocol: true}}}",
  "{connectionPool: {http: {h2UpgradePolicy: UPGRADE, maxConcurrentStreams: 1}}}",
  "{connectionPool: {http: {h2UpgradePolicy: DO_NOT_UPGRADE, idleTimeout: 1s}}}",
  "{connectionPool: {http: {maxConcurrentStreams: 10}}}",
  "{connectionPool: {http: {h2UpgradePolicy: UPGRADE, http2KeepAlive: {interval: 30s, timeout: 5s}}}}",
  "{outlierDetection: {consecutiveErrors: 3}}",
  "{outlierDetection: {consecutive5xxErrors: 0, consecutiveGatewayErrors: 0}}",
  "{outlierDetection: {splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 2, interval: 1ms, baseEjectionTime: 1ms, maxEjectionPercent: 0, minHealthPercent: 0}}",
  "{outlierDetection: {interval: 1s, baseEjectionTime: 1000s, maxEjectionPercent: 100, minHealthPercent: 100}}",
  "{tls: {mode: DISABLE}}",
  "{tls: {mode: SIMPLE, sni: x.test, subjectAltNames: [x.test]}}",
  "{tls: {mode: SIMPLE, insecureSkipVerify: true}}",
  "{tls: {mode: SIMPLE, caCertificates: /etc/ca.pem}}",
  "{tls: {mode: SIMPLE, caCertificates: system}}",
  "{tls: {mode: MUTUAL, clientCertificate: /etc/c.pem, privateKey: /etc/k.pem, caCertificates: /etc/ca.pem}}",
  "{tls: {mode: ISTIO_MUTUAL, sni: x.test}}",
  "{tls: {mode: SIMPLE}, connectionPool: {http: {h2UpgradePolicy: UPGRADE}}}",
  "{proxyProtocol: {version: V1}}",
  "{proxyProtocol: {version: V2}, tls: {mode: SIMPLE}}",
  "{retryBudget: {percent: 10.5, minRetryConcurrency: 5}}",
  "{retryBudget: {}}",
  "{tunnel: {protocol: CONNECT, targetHost: t.test, targetPort: 443}}",
  "{tunnel: {protocol: POST, targetHost: t.test, targetPort: 443}}",
  "{portLevelSettings: [{port: {number: 7000}, loadBalancer: {simple: RANDOM}, connectionPool: {http: {maxRequestsPerConnection: 3}}, outlierDetection: {consecutive5xxErrors: 1}, tls: {mode: SIMPLE}}]}",
];

const to = "route: [{destination: {host: HOST}}]";

export const httpRoutes: readonly string[] = [
  `{match: [{uri: {regex: '/a.*[0-9]+'}, headers: {x-a: {regex: '.+'}, x-b: {exact: ''}, x-c: {}}, method: {exact: GET}}], ${to}}`,
  `{match: [{uri: {prefix: /}, scheme: {exact: http}, authority: {prefix: r}, port: 8000, withoutHeaders: {x-d: {prefix: a}}, queryParams: {q: {prefix: a}, r: {regex: '[ab]'}, s: {exact: ''}}}], ${to}}`,
  `{match: [{uri: {prefix: /a/}, ignoreUriCase: true}, {uri: {exact: /A}, ignoreUriCase: true}], rewrite: {uri: /}, ${to}}`,
  `{match: [{uri: {regex: '/x/(.*)'}}], rewrite: {uriRegexRewrite: {match: '/x/(.*)', rewrite: '/y/\\1'}}, ${to}}`,
  `{rewrite: {authority: a.test}, timeout: 1ms, ${to}}`,
  "{redirect: {uri: /new, authority: a.test:8080, redirectCode: 308}}",
  "{match: [{uri: {prefix: /old}}], redirect: {uri: '%PREFIX()%/new', scheme: https, port: 8443}}",
  "{redirect: {derivePort: FROM_REQUEST_PORT, authority: a.test}}",
  "{redirect: {derivePort: FROM_PROTOCOL_DEFAULT, scheme: https}}",
  "{directResponse: {status: 204}}",
  "{directResponse: {status: 503, body: {bytes: aGVsbG8=}}}",
  `{retries: {attempts: 5, perTryTimeout: 1ms, retryOn: 'connect-failure,refused-stream,503,gateway-error', retryRemoteLocalities: true, retryIgnorePreviousHosts: false, backoff: 10ms}, ${to}}`,
  `{retries: {attempts: 1, retryOn: 'retriable-4xx,418'}, timeout: 5s, ${to}}`,
  `{fault: {abort: {httpStatus: 599, percentage: {value: 0.0001}}, delay: {fixedDelay: 1ms, percentage: {value: 33.33}}}, ${to}}`,
  `{fault: {abort: {grpcStatus: UNAVAILABLE, percentage: {value: 100}}}, ${to}}`,
  `{mirrors: [{destination: {host: HOST}, percentage: {value: 1.5}}, {destination: {host: HOST}}], ${to}}`,
  `{corsPolicy: {allowOrigins: [{exact: 'http://a.test'}, {prefix: 'http://b'}, {regex: '.*'}], allowMethods: [GET], allowHeaders: [x-a], exposeHeaders: [x-b], maxAge: 24h, allowCredentials: true, unmatchedPreflights: FORWARD}, ${to}}`,
  `{headers: {request: {set: {':authority': b.test, x-a: 'a%%b'}, add: {x-b: '%DOWNSTREAM_REMOTE_ADDRESS% %REQ(x-a?x-b)% %FILTER_STATE(a:PLAIN)%', x-c: '100%%'}, remove: [x-d]}, response: {set: {x-e: '%RESPONSE_CODE%'}, remove: [x-f]}}, ${to}}`,
  "{route: [{destination: {host: HOST}, weight: 1, headers: {request: {set: {Host: c.test}}}}, {destination: {host: HOST, port: {number: 8000}}, weight: 999, headers: {response: {add: {x-a: b}}}}]}",
  "{route: [{destination: {host: nowhere.test}}]}",
  "{route: [{destination: {host: HOST, subset: nosuch}, weight: 0}, {destination: {host: HOST}, weight: 100}]}",
];

export const gatewayTlsSettings: readonly (readonly [protocol: string, tls: string])[] = [
  [
    "HTTPS",
    "{mode: SIMPLE, serverCertificate: /etc/c.pem, privateKey: /etc/k.pem, minProtocolVersion: TLSV1_0, maxProtocolVersion: TLSV1_2}",
  ],
  [
    "HTTPS",
    "{mode: SIMPLE, serverCertificate: /etc/c.pem, privateKey: /etc/k.pem, cipherSuites: [ECDHE-RSA-AES256-GCM-SHA384, AES128-SHA], ecdhCurves: [P-256, X25519]}",
  ],
  [
    "HTTPS",
    "{mode: MUTUAL, serverCertificate: /etc/c.pem, privateKey: /etc/k.pem, caCertificates: /etc/ca.pem, subjectAltNames: [a.test]}",
  ],
  [
    "HTTPS",
    "{mode: OPTIONAL_MUTUAL, serverCertificate: /etc/c.pem, privateKey: /etc/k.pem, caCertificates: /etc/ca.pem}",
  ],
  ["HTTPS", "{mode: ISTIO_MUTUAL}"],
  ["TLS", "{mode: SIMPLE, serverCertificate: /etc/c.pem, privateKey: /etc/k.pem}"],
  ["TLS", "{mode: ISTIO_MUTUAL}"],
  ["TLS", "{mode: PASSTHROUGH}"],
  ["TLS", "{mode: AUTO_PASSTHROUGH}"],
  ["HTTP", "{httpsRedirect: true}"],
];
