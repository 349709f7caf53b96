import { toJson } from "@meltemi/protos";
import { describe, expect, it } from "vitest";
import { applyObjects, createTestMesh, snapshotOf } from "../../../test/support/mesh-objects.ts";
import {
  http9080,
  kubePort,
  kubeService,
  peerAuthentication,
  pod,
  ratings,
  reviewsCluster,
  reviewsHost,
  reviewsObjects,
  reviewsPods,
  reviewsRule,
  serviceEntry,
  slice,
} from "../../../test/support/sample-objects.ts";
import { scopeOf, testKey } from "../../../test/support/scope-views.ts";
import type { MeshObject } from "../../api/kinds.ts";
import type { MeshConfig } from "../../api/mesh-config/schema.ts";
import type { Snapshot } from "../../snapshot/snapshot.ts";
import type { ScopeKey } from "../scope.ts";
import { outboundClusters } from "./outbound.ts";

type Shown = { readonly [field: string]: unknown };

interface MeshOptions {
  readonly mesh?: Partial<MeshConfig>;
  readonly key?: Partial<ScopeKey>;
}

function clustersOf(objects: readonly MeshObject[], { mesh, key }: MeshOptions = {}): Map<string, Shown> {
  const built = outboundClusters(scopeOf(snapshotOf(objects, mesh), key));
  return new Map(built.map(({ name, message }) => [name, toJson("envoy.config.cluster.v3.Cluster", message) as Shown]));
}

function reviewsWith(spec: Parameters<typeof reviewsRule>[0], options: MeshOptions = {}): Shown {
  return clustersOf([...reviewsObjects, reviewsRule(spec)], options).get(reviewsCluster) ?? {};
}

const httpOptions = (cluster: Shown): unknown =>
  (cluster["typed_extension_protocol_options"] as Shown | undefined)?.[
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
  ];

const stockEnvoy: ScopeKey["capabilities"] = {
  istioVersion: undefined,
  extensions: new Set(["envoy.transport_sockets.tls", "envoy.transport_sockets.raw_buffer"]),
  acceptHttp10: false,
};

describe("the default cluster of a service", () => {
  it("takes endpoints from EDS and speaks mutual TLS with those that take it", () => {
    const cluster = clustersOf(reviewsObjects).get(reviewsCluster);
    expect(cluster).toMatchObject({
      type: "EDS",
      lb_policy: "LEAST_REQUEST",
      connect_timeout: "10s",
      alt_stat_name: `${reviewsCluster};`,
      eds_cluster_config: { service_name: reviewsCluster, eds_config: { ads: {}, initial_fetch_timeout: "0s" } },
      transport_socket_matches: [
        {
          name: "tlsMode-istio",
          match: { tlsMode: "istio" },
          transport_socket: {
            typed_config: {
              sni: `outbound_.9080_._.${reviewsHost}`,
              common_tls_context: {
                alpn_protocols: ["istio-peer-exchange", "istio"],
                combined_validation_context: {
                  default_validation_context: {
                    match_subject_alt_names: [{ exact: "spiffe://cluster.local/ns/bookinfo/sa/reviews" }],
                  },
                },
              },
            },
          },
        },
        { name: "tlsMode-disabled", match: {} },
      ],
    });
    expect(cluster).toMatchObject({ filters: [{ name: "istio.metadata_exchange" }] });
  });

  it("names identities in the aliases of the trust domain too", () => {
    const [cluster] = [...clustersOf(reviewsObjects, { mesh: { trustDomainAliases: ["old"] } }).values()];
    expect(JSON.stringify(cluster)).toContain("spiffe://old/ns/bookinfo/sa/reviews");
  });

  it.each([
    ["the mesh turns it off", [], { enableAutoMtls: false }],
    ["a policy of the namespace disables it", [peerAuthentication("bookinfo", "p", { mtls: { mode: "DISABLE" } })], {}],
    ["a policy of the mesh disables it", [peerAuthentication("istio-system", "p", { mtls: { mode: "DISABLE" } })], {}],
  ] as const)("is plain where %s", (_case, policies, mesh) => {
    const cluster = clustersOf([...reviewsObjects, ...policies], { mesh }).get(reviewsCluster);
    expect(cluster).not.toHaveProperty("transport_socket_matches");
    expect(cluster).not.toHaveProperty("transport_socket");
  });

  it("leaves out of a stock Envoy's cluster what it does not have", () => {
    const cluster = clustersOf(reviewsObjects, { key: { capabilities: stockEnvoy } }).get(reviewsCluster);
    expect(cluster).not.toHaveProperty("filters");
    expect(JSON.stringify(cluster)).toContain('"alpn_protocols":["istio"]');
  });

  it("follows the pattern of the mesh for names of statistics", () => {
    const mesh = { outboundClusterStatName: "%SERVICE%_%SERVICE_PORT_NAME%_%SERVICE_PORT%" };
    expect(clustersOf(reviewsObjects, { mesh }).get(reviewsCluster)).toMatchObject({
      alt_stat_name: "reviews.bookinfo_http_9080;",
    });
  });
});

describe("what a rule makes of it", () => {
  it.each([
    ["RANDOM", { lb_policy: "RANDOM" }],
    ["LEAST_CONN", { lb_policy: "LEAST_REQUEST" }],
    ["PASSTHROUGH", { lb_policy: "CLUSTER_PROVIDED", type: "ORIGINAL_DST" }],
  ] as const)("balances by %s", (simple, expected) => {
    const cluster = reviewsWith({ trafficPolicy: { loadBalancer: { simple } } });
    expect(cluster).toMatchObject(expected);
    expect("eds_cluster_config" in cluster).toBe(simple !== "PASSTHROUGH");
  });

  it.each([
    [{ useSourceIp: true }, { lb_policy: "RING_HASH", ring_hash_lb_config: { minimum_ring_size: "1024" } }],
    [{ useSourceIp: true, ringHash: { minimumRingSize: 9 } }, { ring_hash_lb_config: { minimum_ring_size: "9" } }],
    [
      { useSourceIp: true, maglev: { tableSize: 11 } },
      { lb_policy: "MAGLEV", maglev_lb_config: { table_size: "11" } },
    ],
  ])("hashes as %j says", (consistentHash, expected) => {
    expect(reviewsWith({ trafficPolicy: { loadBalancer: { consistentHash } } })).toMatchObject(expected);
  });

  it("warms endpoints up", () => {
    const warmup = { duration: "30s", aggression: 2 };
    expect(reviewsWith({ trafficPolicy: { loadBalancer: { simple: "ROUND_ROBIN", warmup } } })).toMatchObject({
      round_robin_lb_config: {
        slow_start_config: {
          slow_start_window: "30s",
          aggression: { default_value: 2, runtime_key: "(" },
          min_weight_percent: { value: 10 },
        },
      },
    });
  });

  it("limits connections and requests", () => {
    const cluster = reviewsWith({
      trafficPolicy: {
        connectionPool: {
          tcp: { maxConnections: 5, connectTimeout: "30ms", idleTimeout: "20s", tcpKeepalive: { time: "7200s" } },
          http: { http1MaxPendingRequests: 6, http2MaxRequests: 7, maxRetries: 8, maxRequestsPerConnection: 9 },
        },
        retryBudget: { percent: 25 },
      },
    });
    expect(cluster).toMatchObject({
      connect_timeout: "0.030s",
      circuit_breakers: {
        thresholds: [
          {
            max_connections: 5,
            max_pending_requests: 6,
            max_requests: 7,
            max_retries: 8,
            retry_budget: { budget_percent: { value: 25 }, min_retry_concurrency: 3 },
          },
        ],
      },
      upstream_connection_options: { tcp_keepalive: { keepalive_time: 7200 } },
    });
    expect(httpOptions(cluster)).toMatchObject({
      common_http_protocol_options: { idle_timeout: "20s", max_requests_per_connection: 9 },
      // Without a version Envoy would refuse the cluster.
      explicit_http_config: { http_protocol_options: {} },
    });
  });
});

describe("which HTTP a rule makes it speak", () => {
  it("upgrades to HTTP/2 where the rule says so, and offers it in TLS", () => {
    const http = { h2UpgradePolicy: "UPGRADE", maxConcurrentStreams: 5 } as const;
    const cluster = reviewsWith({ trafficPolicy: { connectionPool: { http } } });
    expect(httpOptions(cluster)).toMatchObject({
      explicit_http_config: { http2_protocol_options: { max_concurrent_streams: 5 } },
    });
    expect(JSON.stringify(cluster)).toContain('"alpn_protocols":["istio-peer-exchange","istio","h2"]');
  });

  it("keeps the client's protocol rather than upgrade", () => {
    const http = { h2UpgradePolicy: "UPGRADE", useClientProtocol: true } as const;
    expect(httpOptions(reviewsWith({ trafficPolicy: { connectionPool: { http } } }))).toHaveProperty(
      "use_downstream_protocol_config",
    );
  });
});

describe("what else a rule makes of it", () => {
  it("makes no larger ring than Envoy permits", () => {
    const consistentHash = { useSourceIp: true, ringHash: { minimumRingSize: 9_000_000 } };
    const cluster = reviewsWith({ trafficPolicy: { loadBalancer: { consistentHash } } });
    expect(cluster).toMatchObject({ ring_hash_lb_config: { minimum_ring_size: "8388608" } });
  });

  it("ejects endpoints that fail, with the panic threshold of the rule", () => {
    const outlierDetection = { consecutive5xxErrors: 0, consecutiveGatewayErrors: 3, minHealthPercent: 20 };
    expect(reviewsWith({ trafficPolicy: { outlierDetection } })).toMatchObject({
      common_lb_config: { healthy_panic_threshold: { value: 20 } },
      outlier_detection: {
        consecutive_5xx: 0,
        enforcing_consecutive_5xx: 0,
        consecutive_gateway_failure: 3,
        enforcing_consecutive_gateway_failure: 100,
        enforcing_success_rate: 0,
      },
    });
  });

  it("gives subsets their own clusters, whose policy overrides the rule's field by field", () => {
    const clusters = clustersOf([
      ...reviewsObjects,
      reviewsRule({
        trafficPolicy: { loadBalancer: { simple: "RANDOM" }, connectionPool: { tcp: { maxConnections: 5 } } },
        subsets: [
          { name: "v1", labels: { version: "v1" }, trafficPolicy: { loadBalancer: { simple: "ROUND_ROBIN" } } },
        ],
      }),
    ]);
    const subset = clusters.get(`outbound|9080|v1|${reviewsHost}`);
    expect(subset).not.toHaveProperty("lb_policy"); // ROUND_ROBIN is the wire's default
    expect(subset).toMatchObject({
      circuit_breakers: { thresholds: [{ max_connections: 5 }] },
      metadata: {
        filter_metadata: {
          istio: { subset: "v1", config: "/apis/networking.istio.io/v1/namespaces/bookinfo/destination-rule/reviews" },
        },
      },
    });
  });

  it("replaces the policy wholly for a port of its own", () => {
    const cluster = reviewsWith({
      trafficPolicy: {
        connectionPool: { tcp: { maxConnections: 5 } },
        portLevelSettings: [{ port: { number: 9080 }, loadBalancer: { simple: "RANDOM" } }],
      },
    });
    expect(cluster).toMatchObject({
      lb_policy: "RANDOM",
      circuit_breakers: { thresholds: [{ max_connections: 4294967295 }] },
    });
  });

  it("wraps sockets in the PROXY protocol", () => {
    const cluster = reviewsWith({ trafficPolicy: { proxyProtocol: { version: "V2" }, tls: { mode: "DISABLE" } } });
    expect(cluster).toMatchObject({
      transport_socket: {
        name: "envoy.transport_sockets.upstream_proxy_protocol",
        typed_config: {
          config: { version: "V2" },
          transport_socket: { name: "envoy.transport_sockets.raw_buffer" },
        },
      },
    });
  });
});

describe("TLS that a rule asks for", () => {
  it("checks the request's host where no name is given", () => {
    const cluster = reviewsWith({ trafficPolicy: { tls: { mode: "SIMPLE" } } });
    expect(cluster).toMatchObject({
      metadata: { filter_metadata: { istio: { alpn_override: "false" } } },
      transport_socket: {
        typed_config: {
          common_tls_context: {
            combined_validation_context: { validation_context_sds_secret_config: { name: "file-root:system" } },
          },
        },
      },
    });
    expect(httpOptions(cluster)).toMatchObject({
      upstream_http_protocol_options: { auto_sni: true, auto_san_validation: true },
    });
  });

  it("takes client certificates from files", () => {
    const tls = {
      mode: "MUTUAL",
      clientCertificate: "/c",
      privateKey: "/k",
      caCertificates: "/ca",
      sni: "a.example",
    } as const;
    expect(JSON.stringify(reviewsWith({ trafficPolicy: { tls } }))).toContain('"name":"file-cert:/c~/k"');
  });

  it("sends no cluster at all where mutual TLS lacks its certificate, rather than one in plain text", () => {
    expect(reviewsWith({ trafficPolicy: { tls: { mode: "MUTUAL" } } })).toEqual({});
  });

  it("sends no cluster to a proxy that cannot do TLS", () => {
    const key = { capabilities: { ...testKey.capabilities, extensions: new Set(["envoy.filters.http.router"]) } };
    expect(reviewsWith({ trafficPolicy: { tls: { mode: "ISTIO_MUTUAL" } } }, { key })).toEqual({});
    expect(clustersOf(reviewsObjects, { key }).get(reviewsCluster)).not.toHaveProperty("transport_socket_matches");
  });

  it("asks for secrets of a rule on gateways only", () => {
    const rule = { trafficPolicy: { tls: { mode: "MUTUAL", credentialName: "client" } } } as const;
    expect(reviewsWith(rule)).not.toHaveProperty("transport_socket");
    const gateway = JSON.stringify(reviewsWith(rule, { key: { proxyType: "router" } }));
    expect(gateway).toContain('"name":"kubernetes://client"');
    expect(gateway).toContain('"name":"kubernetes://client-cacert"');
  });
});

describe("services of other kinds", () => {
  const dns = serviceEntry("api", {
    hosts: ["api.example.com"],
    ports: [{ number: 80, name: "http", protocol: "HTTP" }],
    resolution: "DNS",
  });

  it("looks names up, with the endpoints in the cluster", () => {
    expect(clustersOf([dns]).get("outbound|80||api.example.com")).toMatchObject({
      type: "STRICT_DNS",
      dns_lookup_family: "V4_ONLY",
      dns_refresh_rate: "60s",
      respect_dns_ttl: true,
      load_assignment: {
        endpoints: [
          {
            lb_endpoints: [
              { endpoint: { address: { socket_address: { address: "api.example.com", port_value: 80 } } } },
            ],
          },
        ],
      },
      metadata: { filter_metadata: { istio: { external: true } } },
    });
  });

  it("gives a LOGICAL_DNS cluster one name only, for Envoy takes no more", () => {
    const entry = serviceEntry("rr", {
      ...dns.spec,
      resolution: "DNS_ROUND_ROBIN",
      endpoints: [{ address: "a.example" }, { address: "b.example" }],
    });
    const cluster = clustersOf([entry]).get("outbound|80||api.example.com");
    expect(cluster).toMatchObject({ type: "LOGICAL_DNS" });
    expect(JSON.stringify(cluster)).not.toContain("b.example");
  });

  it("looks up what each request names for a wildcard with dynamic DNS", () => {
    const entry = serviceEntry("any", {
      hosts: ["*.any.example"],
      ports: [
        { number: 80, name: "http", protocol: "HTTP" },
        { number: 81, name: "tcp", protocol: "TCP" },
      ],
      resolution: "DYNAMIC_DNS",
    });
    const clusters = clustersOf([entry]);
    expect(clusters.get("outbound|80||*.any.example")).toMatchObject({
      lb_policy: "CLUSTER_PROVIDED",
      cluster_type: {
        name: "envoy.clusters.dynamic_forward_proxy",
        typed_config: { dns_cache_config: { name: "*.any.example_dfp_dns_cache", dns_lookup_family: "V4_ONLY" } },
      },
    });
    expect(clusters.has("outbound|81||*.any.example")).toBe(false);
  });

  it("passes headless services through on sidecars and gives gateways their endpoints", () => {
    const port = kubePort("http", 7000);
    const member = pod("h", "10.20.0.9", { hasProxy: false });
    const objects = [
      kubeService("headless", { clusterIP: "None", ports: [port] }),
      member,
      slice("headless", port, [member]),
    ];
    const name = "outbound|7000||headless.bookinfo.svc.cluster.local";
    expect(clustersOf(objects).get(name)).toMatchObject({ type: "ORIGINAL_DST", lb_policy: "CLUSTER_PROVIDED" });
    expect(clustersOf(objects).get(name)).not.toHaveProperty("transport_socket");
    expect(clustersOf(objects, { key: { proxyType: "router" } }).get(name)).toMatchObject({ type: "EDS" });
  });

  it("sends passed-through traffic to the port that the entry names", () => {
    const entry = serviceEntry("none", {
      hosts: ["n.example"],
      ports: [{ number: 80, name: "http", protocol: "HTTP", targetPort: 8080 }],
      resolution: "NONE",
    });
    expect(clustersOf([entry]).get("outbound|80||n.example")).toMatchObject({
      original_dst_lb_config: { upstream_port_override: 8080 },
    });
  });

  it.each([
    ["grpc-a", "explicit_http_config"],
    ["auto", "use_downstream_protocol_config"],
  ])("speaks as port %s says", (name, field) => {
    const clusters = clustersOf([kubeService("p", { clusterIP: "10.96.1.9", ports: [kubePort(name, 80)] })]);
    expect(httpOptions(clusters.get("outbound|80||p.bookinfo.svc.cluster.local") ?? {})).toHaveProperty(field);
  });

  it("makes no cluster for UDP", () => {
    const ports = [{ ...kubePort("dns", 53), protocol: "UDP" as const }];
    expect([...clustersOf([kubeService("p", { clusterIP: "10.96.1.9", ports })]).keys()]).toEqual([
      "BlackHoleCluster",
      "PassthroughCluster",
    ]);
  });
});

describe("clusters that are always there", () => {
  it("are the black hole everywhere, the passthrough on sidecars", () => {
    expect([...clustersOf([]).keys()]).toEqual(["BlackHoleCluster", "PassthroughCluster"]);
    expect([...clustersOf([], { key: { proxyType: "router" } }).keys()]).toEqual(["BlackHoleCluster"]);
  });
});

describe("what stays the same", () => {
  const messageOf = (snapshot: Snapshot, wanted = reviewsCluster) =>
    outboundClusters(scopeOf(snapshot)).find(({ name }) => name === wanted)?.message;

  it("is the same object for what never changes", () => {
    const snapshot = snapshotOf(reviewsObjects);
    for (const name of ["BlackHoleCluster", "PassthroughCluster"]) {
      expect(messageOf(snapshot, name)).toBe(messageOf(snapshot, name));
      expect(messageOf(snapshot, name)).toBeDefined();
    }
  });

  it("is the same object while only other services and endpoints of the same identity change", () => {
    const builder = createTestMesh();
    const before = messageOf(applyObjects(builder, ...reviewsObjects));
    const more = pod("reviews-v4", "10.20.0.19", { account: "reviews" });
    expect(messageOf(applyObjects(builder, ratings))).toBe(before);
    expect(messageOf(applyObjects(builder, more, slice("reviews", http9080, [...reviewsPods, more])))).toBe(before);
  });

  it("is another object once the rule or an identity changes", () => {
    const builder = createTestMesh();
    const before = messageOf(applyObjects(builder, ...reviewsObjects));
    const ruled = messageOf(
      applyObjects(builder, reviewsRule({ trafficPolicy: { loadBalancer: { simple: "RANDOM" } } })),
    );
    const stranger = pod("reviews-v4", "10.20.0.19", { account: "stranger" });
    const mixed = messageOf(applyObjects(builder, stranger, slice("reviews", http9080, [stranger])));
    expect(ruled).not.toBe(before);
    expect(JSON.stringify(toJson("envoy.config.cluster.v3.Cluster", mixed ?? {}))).toContain("sa/stranger");
  });
});
