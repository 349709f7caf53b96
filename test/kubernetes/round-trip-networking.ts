/** Specs of networking.istio.io that together set every field that their CRDs have. */

type Spec = Readonly<Record<string, unknown>>;

const destination = { host: "reviews.shop.svc.cluster.local", subset: "v1", port: { number: 9080 } };
const headerOperations = { set: { "x-set": "1" }, add: { "x-add": "2" }, remove: ["x-remove"] };
const headers = { request: headerOperations, response: headerOperations };
const origin = {
  port: 80,
  sourceLabels: { app: "web" },
  gateways: ["shop/edge", "mesh"],
  sourceNamespace: "shop",
};

/** A condition on requests that compares everything in one way. */
const matchBy = (way: "exact" | "prefix" | "regex") => {
  const text = { [way]: "/a" };
  return {
    name: way,
    uri: text,
    scheme: { [way]: "https" },
    method: { [way]: "GET" },
    authority: { [way]: "shop.example.com" },
    headers: { "x-user": text },
    queryParams: { page: { [way]: "1" } },
    withoutHeaders: { "x-bot": text },
    statPrefix: "pages",
    ...(way === "regex" ? {} : { ignoreUriCase: true }),
    ...origin,
  };
};

const corsPolicy = {
  allowOrigins: [{ exact: "https://a.example.com" }, { prefix: "https://b" }, { regex: "https://.*" }],
  allowMethods: ["GET"],
  allowHeaders: ["x-user"],
  exposeHeaders: ["x-page"],
  maxAge: "24h",
  allowCredentials: true,
  unmatchedPreflights: "FORWARD",
};

const retries = {
  attempts: 3,
  perTryTimeout: "1.5s",
  retryOn: "5xx,reset",
  retryRemoteLocalities: true,
  retryIgnorePreviousHosts: false,
  backoff: "25ms",
};

export const virtualServices: readonly Spec[] = [
  {
    hosts: ["shop.example.com"],
    gateways: ["shop/edge", "mesh"],
    exportTo: ["."],
    http: [
      {
        name: "pages",
        match: [matchBy("exact"), matchBy("prefix"), matchBy("regex")],
        route: [
          { destination, weight: 90, headers },
          { destination: { host: "ratings" }, weight: 10 },
        ],
        rewrite: { uri: "/b", authority: "other.example.com" },
        timeout: "1h30m",
        retries,
        mirrors: [{ destination, percentage: { value: 0.5 } }],
        corsPolicy,
        headers,
      },
      {
        route: [{ destination }],
        rewrite: { uriRegexRewrite: { match: "/a/(.*)", rewrite: "/\\1" } },
        fault: {
          delay: { fixedDelay: "2s", percentage: { value: 100 } },
          abort: { httpStatus: 503, percentage: { value: 0.1 } },
        },
        mirror: destination,
        mirrorPercentage: { value: 12.5 },
        corsPolicy: { allowOrigin: ["https://a.example.com"] },
      },
      {
        route: [{ destination }],
        fault: { abort: { grpcStatus: "UNAVAILABLE" } },
        mirror: destination,
        mirrorPercent: 7,
      },
      { redirect: { uri: "/new", authority: "new.example.com", port: 8443, scheme: "https", redirectCode: 302 } },
      { redirect: { derivePort: "FROM_REQUEST_PORT", uri: "/new" } },
      { match: [{ uri: { prefix: "/old" } }], redirect: { prefixRewrite: "/new" } },
      { route: [{ destination }], mirror: destination, mirror_percent: 7 },
      { directResponse: { status: 404, body: { string: "gone" } } },
      { directResponse: { status: 404, body: { bytes: "Z29uZQ==" } } },
    ],
    tls: [
      {
        match: [{ sniHosts: ["shop.example.com"], destinationSubnets: ["10.0.0.0/8"], ...origin }],
        route: [{ destination, weight: 100 }],
      },
    ],
    tcp: [
      {
        match: [{ destinationSubnets: ["10.0.0.0/8"], sourceSubnet: "10.1.0.0/16", ...origin }],
        route: [{ destination, weight: 100 }],
      },
    ],
  },
  {
    hosts: ["delegating.example.com"],
    gateways: ["shop/edge"],
    http: [{ delegate: { name: "details", namespace: "shop" } }],
  },
];

const keepalive = { probes: 3, time: "7200s", interval: "75s" };
const connectionPool = {
  tcp: {
    maxConnections: 100,
    connectTimeout: "30ms",
    tcpKeepalive: keepalive,
    maxConnectionDuration: "1h",
    idleTimeout: "10m",
  },
  http: {
    http1MaxPendingRequests: 1,
    http2MaxRequests: 2,
    maxRequestsPerConnection: 3,
    maxRetries: 4,
    idleTimeout: "5s",
    h2UpgradePolicy: "UPGRADE",
    maxConcurrentStreams: 5,
    http2KeepAlive: { interval: "10s", timeout: "2s" },
  },
};
const outlierDetection = {
  consecutiveErrors: 5,
  splitExternalLocalOriginErrors: true,
  consecutiveLocalOriginFailures: 2,
  consecutiveGatewayErrors: 0,
  consecutive5xxErrors: 7,
  interval: "5m",
  baseEjectionTime: "15m",
  maxEjectionPercent: 50,
  minHealthPercent: 20,
  outlierDetectionHttpErrorCodes: [500, 599],
};
const failover = [{ from: "eu", to: "us" }];

const loadBalancers: readonly Spec[] = [
  {
    simple: "LEAST_REQUEST",
    localityLbSetting: { enabled: true, distribute: [{ from: "eu/a/*", to: { "eu/a/*": 80, "eu/b/*": 20 } }] },
    warmup: { duration: "30s", minimumPercent: 12.5, aggression: 1.5 },
  },
  { simple: "RANDOM", localityLbSetting: { enabled: true, failover }, warmupDurationSecs: "20s" },
  { simple: "ROUND_ROBIN", localityLbSetting: { failoverPriority: ["topology.kubernetes.io/region"] } },
  { zoneAwareLbSetting: { enabled: true, failover, minClusterSize: 3 } },
  { zoneAwareLbSetting: { failoverPriority: ["example.com/rack"] } },
  { consistentHash: { httpHeaderName: "x-user", ringHash: { minimumRingSize: 2048 } } },
  {
    consistentHash: {
      httpCookie: { name: "user", path: "/", ttl: "0s", attributes: [{ name: "SameSite", value: "Lax" }] },
      maglev: { tableSize: 65537 },
    },
  },
  { consistentHash: { useSourceIp: true, minimumRingSize: 1024 } },
  { consistentHash: { httpQueryParameterName: "user" } },
];

const clientTls = {
  mode: "MUTUAL",
  clientCertificate: "/certs/client.pem",
  privateKey: "/certs/key.pem",
  caCertificates: "/certs/ca.pem",
  subjectAltNames: ["reviews.example.com"],
  sni: "reviews.example.com",
  insecureSkipVerify: false,
  caCrl: "/certs/crl.pem",
};

/** The policies of a destination: each way to balance once, the rest spread over them; ports have their own. */
const policies: readonly Spec[] = loadBalancers.map((loadBalancer, index) => ({
  loadBalancer,
  connectionPool: index === 1 ? { http: { useClientProtocol: true } } : connectionPool,
  outlierDetection,
  tls: index === 1 ? { mode: "SIMPLE", credentialName: "reviews-ca" } : clientTls,
}));

const trafficPolicies: readonly Spec[] = policies.map((policy, index) => ({
  ...policy,
  portLevelSettings: [{ port: { number: 9080 }, ...policies[(index + 1) % policies.length] }],
  retryBudget: { percent: 12.5, minRetryConcurrency: 5, budgetInterval: "10s" },
  ...(index === 0
    ? { tunnel: { protocol: "CONNECT", targetHost: "far.example.com", targetPort: 443 } }
    : { proxyProtocol: { version: "V2" } }),
}));

export const destinationRules: readonly Spec[] = [
  ...trafficPolicies.map((trafficPolicy) => ({
    host: "reviews.shop.svc.cluster.local",
    trafficPolicy,
    subsets: [{ name: "v1", labels: { version: "v1" }, trafficPolicy }],
    exportTo: ["."],
    workloadSelector: { matchLabels: { app: "web" } },
  })),
];

const serverTlsFiles: Spec = {
  serverCertificate: "/certs/tls.pem",
  privateKey: "/certs/key.pem",
  caCertificates: "/certs/ca.pem",
  caCrl: "/certs/crl.pem",
  verifyCertificateSpki: ["NfNB9OzvLUnG5DsLcOHnZEKc6kFpiWRDpQBMtDCFZ3E="],
  verifyCertificateHash: ["df6ff72fe9116521268f6f2dd4966f51df479883fe7037b39f75916ac3049d1a"],
  minProtocolVersion: "TLSV1_2",
  maxProtocolVersion: "TLSV1_3",
  cipherSuites: ["ECDHE-RSA-AES128-GCM-SHA256"],
  ecdhCurves: ["X25519"],
  insecureSkipVerify: false,
};
const serverTls: Spec = { ...serverTlsFiles, mode: "MUTUAL", subjectAltNames: ["client.example.com"] };
const port = (number: number, protocol: string) => ({ number, protocol, name: `${protocol.toLowerCase()}-${number}` });
const hosts = ["shop/shop.example.com"];

export const gateways: readonly Spec[] = [
  {
    selector: { istio: "ingressgateway" },
    servers: [
      {
        port: port(80, "HTTP"),
        bind: "0.0.0.0",
        hosts,
        name: "plain",
        defaultEndpoint: "127.0.0.1:8080",
        tls: { httpsRedirect: true },
      },
      { port: port(443, "HTTPS"), hosts, tls: serverTls },
      {
        port: port(8443, "HTTPS"),
        hosts,
        tls: { mode: "MUTUAL", credentialName: "shop-cert", caCertCredentialName: "shop-ca" },
      },
      { port: port(9443, "HTTPS"), hosts, tls: { mode: "SIMPLE", credentialNames: ["shop-rsa", "shop-ecdsa"] } },
      {
        port: port(9444, "HTTPS"),
        hosts,
        tls: {
          mode: "SIMPLE",
          tlsCertificates: [
            { serverCertificate: "/a/tls.pem", privateKey: "/a/key.pem", caCertificates: "/a/ca.pem" },
            { serverCertificate: "/b/tls.pem", privateKey: "/b/key.pem" },
          ],
        },
      },
    ],
  },
];

const sidecarPort = { number: 9080, protocol: "HTTP", name: "http" };
export const sidecars: readonly Spec[] = [
  {
    workloadSelector: { labels: { app: "web" } },
    ingress: [
      {
        port: { ...sidecarPort, protocol: "HTTPS", name: "https" },
        bind: "127.0.0.1",
        captureMode: "NONE",
        defaultEndpoint: "127.0.0.1:8080",
        tls: { ...serverTlsFiles, mode: "MUTUAL", httpsRedirect: false },
        connectionPool,
      },
      { port: { ...sidecarPort, number: 9081 }, connectionPool: { http: { useClientProtocol: true } } },
    ],
    egress: [{ port: { ...sidecarPort, number: 9999 }, bind: "127.0.0.1", captureMode: "NONE", hosts: ["./*"] }],
    inboundConnectionPool: connectionPool,
    outboundTrafficPolicy: { mode: "ALLOW_ANY", egressProxy: destination },
  },
  {
    workloadSelector: { labels: { app: "api" } },
    egress: [{ hosts: ["./*", "istio-system/*"] }],
    inboundConnectionPool: { http: { useClientProtocol: true } },
  },
];

const workload = {
  address: "10.2.3.4",
  ports: { http: 8080 },
  labels: { app: "legacy" },
  network: "vms",
  locality: "eu/a/1",
  weight: 3,
  serviceAccount: "legacy",
};

export const workloadEntries: readonly Spec[] = [workload, { address: "unix:///run/app.sock", weight: 1 }];

export const serviceEntries: readonly Spec[] = [
  {
    hosts: ["legacy.example.com"],
    addresses: ["240.1.1.1", "240.2.0.0/16"],
    ports: [{ number: 80, protocol: "HTTP", name: "http", targetPort: 8080 }],
    location: "MESH_INTERNAL",
    resolution: "STATIC",
    endpoints: [workload],
    exportTo: ["."],
    subjectAltNames: ["spiffe://cluster.local/ns/shop/sa/legacy"],
  },
  {
    hosts: ["selected.example.com"],
    ports: [{ number: 80, protocol: "HTTP", name: "http" }],
    resolution: "STATIC",
    workloadSelector: { labels: { app: "legacy" } },
  },
];

const probeTimes = {
  initialDelaySeconds: 5,
  timeoutSeconds: 3,
  periodSeconds: 4,
  successThreshold: 1,
  failureThreshold: 3,
};
const template = {
  ports: workload.ports,
  labels: workload.labels,
  network: "vms",
  locality: "eu/a/1",
  weight: 3,
  serviceAccount: "legacy",
};

export const workloadGroups: readonly Spec[] = [
  {
    metadata: { labels: { app: "legacy" }, annotations: { "example.com/owner": "shop" } },
    template,
    probe: {
      ...probeTimes,
      httpGet: {
        path: "/ready",
        port: 8080,
        host: "127.0.0.1",
        scheme: "HTTP",
        httpHeaders: [{ name: "x-probe", value: "1" }],
      },
    },
  },
  { template, probe: { tcpSocket: { host: "127.0.0.1", port: 8080 } } },
  { template, probe: { exec: { command: ["/bin/ready", "--quick"] } } },
];

export const proxyConfigs: readonly Spec[] = [
  {
    selector: { matchLabels: { app: "web" } },
    concurrency: 0,
    environmentVariables: { LEVEL: "debug" },
    image: { imageType: "distroless" },
  },
];

const filter = {
  name: "envoy.filters.network.http_connection_manager",
  subFilter: { name: "envoy.filters.http.router" },
};
const lua = {
  name: "envoy.filters.http.lua",
  typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua" },
};
const target = { group: "gateway.networking.k8s.io", kind: "Gateway", name: "waypoint", namespace: "" };

const configPatches: readonly Spec[] = [
  {
    applyTo: "HTTP_FILTER",
    match: {
      context: "SIDECAR_INBOUND",
      proxy: { proxyVersion: "^1\\.3.*", metadata: { tier: "front" } },
      listener: {
        name: "virtualInbound",
        portNumber: 15006,
        filterChain: {
          name: "0.0.0.0_9080",
          sni: "shop.example.com",
          transportProtocol: "tls",
          applicationProtocols: "h2",
          destinationPort: 9080,
          filter,
        },
      },
    },
    patch: { operation: "INSERT_BEFORE", filterClass: "AUTHZ", value: lua },
  },
  {
    applyTo: "LISTENER_FILTER",
    match: {
      context: "GATEWAY",
      listener: { portName: "http", listenerFilter: "envoy.filters.listener.tls_inspector" },
    },
    patch: { operation: "REMOVE" },
  },
  {
    applyTo: "HTTP_ROUTE",
    match: {
      context: "GATEWAY",
      routeConfiguration: {
        name: "http.80",
        portNumber: 80,
        portName: "http",
        gateway: "shop/edge",
        vhost: {
          name: "shop.example.com:80",
          domainName: "shop.example.com",
          route: { name: "pages", action: "ROUTE" },
        },
      },
    },
    patch: { operation: "MERGE", value: { route: { timeout: "3s" } } },
  },
  {
    applyTo: "CLUSTER",
    match: {
      cluster: {
        name: "outbound|9080||reviews",
        service: "reviews.shop.svc.cluster.local",
        portNumber: 9080,
        subset: "v1",
      },
    },
    patch: { operation: "MERGE", value: { connect_timeout: "2s", nested: [{ deep: [1, "two", null, 3.5] }] } },
  },
];

const waypointPatch: Spec = {
  applyTo: "HTTP_FILTER",
  match: { context: "WAYPOINT", waypoint: { portNumber: 9080, filter, route: { name: "default" } } },
  patch: { operation: "INSERT_FIRST", value: lua },
};

export const envoyFilters: readonly Spec[] = [
  { workloadSelector: { labels: { app: "web" } }, priority: -1, configPatches },
  { targetRefs: [target], configPatches: [waypointPatch] },
];
