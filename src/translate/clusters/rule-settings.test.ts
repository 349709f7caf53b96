import { toJson } from "@meltemi/protos";
import { describe, expect, it } from "vitest";
import { snapshotOf } from "../../../test/support/mesh-objects.ts";
import { reviewsCluster, reviewsObjects, reviewsRule, serviceEntry } from "../../../test/support/sample-objects.ts";
import { scopeOf } from "../../../test/support/scope-views.ts";
import type { DestinationRule, TrafficPolicy } from "../../api/destination-rule/schema.ts";
import type { MeshObject } from "../../api/kinds.ts";
import type { MeshConfig } from "../../api/mesh-config/schema.ts";
import { outboundClusters } from "./outbound.ts";

type Shown = { readonly [field: string]: unknown };

function clustersOf(objects: readonly MeshObject[], mesh: Partial<MeshConfig> = {}): Map<string, Shown> {
  const built = outboundClusters(scopeOf(snapshotOf(objects, mesh)));
  return new Map(built.map(({ name, message }) => [name, toJson("envoy.config.cluster.v3.Cluster", message) as Shown]));
}

function reviewsWith(trafficPolicy: TrafficPolicy, mesh: Partial<MeshConfig> = {}): Shown {
  return clustersOf([...reviewsObjects, reviewsRule({ trafficPolicy })], mesh).get(reviewsCluster) ?? {};
}

const ruleFor = (host: string, spec: Omit<DestinationRule["spec"], "host">): DestinationRule => ({
  kind: "DestinationRule",
  apiVersion: "networking.istio.io/v1",
  meta: { name: "rule", namespace: "bookinfo", labels: {}, annotations: {} },
  spec: { host, ...spec },
});

const optionsType = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
const httpOptions = (cluster: Shown | undefined): unknown =>
  (cluster?.["typed_extension_protocol_options"] as Shown | undefined)?.[optionsType];

describe("single settings of a rule", () => {
  it("counts requests of an interval for the budget of retries", () => {
    expect(reviewsWith({ retryBudget: { budgetInterval: "10s" } })).toMatchObject({
      circuit_breakers: {
        thresholds: [
          { retry_budget: { budget_percent: { value: 20 }, budget_interval: "10s", min_retry_concurrency: 3 } },
        ],
      },
    });
  });

  const status = (code: string): unknown => ({
    http_response_headers_match: { headers: [{ name: ":status", string_match: { exact: code } }] },
  });
  it.each([
    [[429], status("429")],
    [[429, 503], { or_match: { rules: [status("429"), status("503")] } }],
  ])("takes the statuses %j for errors", (outlierDetectionHttpErrorCodes, expected) => {
    expect(httpOptions(reviewsWith({ outlierDetection: { outlierDetectionHttpErrorCodes } }))).toMatchObject({
      explicit_http_config: { http_protocol_options: {} },
      outlier_detection: { error_matcher: expected },
    });
  });

  it("keeps the mesh's number of keep-alive probes where a rule says 0", () => {
    const mesh = { tcpKeepalive: { probes: 3, time: "10s" } };
    const cluster = reviewsWith({ connectionPool: { tcp: { tcpKeepalive: { probes: 0, time: "20s" } } } }, mesh);
    expect(cluster).toMatchObject({
      upstream_connection_options: { tcp_keepalive: { keepalive_probes: 3, keepalive_time: 20 } },
    });
  });

  it("leaves the warm-up of the default balancer beside a Maglev table of the default size", () => {
    const consistentHash = { useSourceIp: true, maglev: {} };
    expect(reviewsWith({ loadBalancer: { consistentHash, warmup: { duration: "30s" } } })).toMatchObject({
      lb_policy: "MAGLEV",
      least_request_lb_config: { slow_start_config: { slow_start_window: "30s" } },
    });
  });
});

describe("PASSTHROUGH", () => {
  const subsetName = "outbound|9080|v1|reviews.bookinfo.svc.cluster.local";

  it("of a rule holds for subsets, whatever they say", () => {
    const rule = reviewsRule({
      trafficPolicy: { loadBalancer: { simple: "PASSTHROUGH" } },
      subsets: [{ name: "v1", trafficPolicy: { loadBalancer: { simple: "ROUND_ROBIN" } } }],
    });
    expect(clustersOf([...reviewsObjects, rule]).get(subsetName)).toMatchObject({
      type: "ORIGINAL_DST",
      lb_policy: "CLUSTER_PROVIDED",
    });
  });

  it("leaves what looking up names needs, without the names", () => {
    const host = "api.example.com";
    const entry = serviceEntry("api", {
      hosts: [host],
      ports: [{ number: 80, name: "http", protocol: "HTTP" }],
      resolution: "DNS",
    });
    const passthrough = { loadBalancer: { simple: "PASSTHROUGH" } } as const;
    const cluster = clustersOf([entry, ruleFor(host, { trafficPolicy: passthrough })]).get(`outbound|80||${host}`);
    expect(cluster).toMatchObject({ type: "ORIGINAL_DST", dns_lookup_family: "V4_ONLY", respect_dns_ttl: true });
    expect(cluster).not.toHaveProperty("load_assignment");
    const ofSubset = ruleFor(host, { subsets: [{ name: "v1", trafficPolicy: passthrough }] });
    const subset = clustersOf([entry, ofSubset]).get(`outbound|80|v1|${host}`);
    expect(subset).toMatchObject({ type: "ORIGINAL_DST" });
    expect(subset).not.toHaveProperty("respect_dns_ttl");
  });
});

it("checks the host of each request where a cluster forwards dynamically, also with a server name", () => {
  const entry = serviceEntry("any", {
    hosts: ["*.any.example"],
    ports: [{ number: 80, name: "http", protocol: "HTTP" }],
    resolution: "DYNAMIC_DNS",
  });
  const rule = ruleFor("*.any.example", { trafficPolicy: { tls: { mode: "SIMPLE", sni: "x.example" } } });
  expect(httpOptions(clustersOf([entry, rule]).get("outbound|80||*.any.example"))).toMatchObject({
    upstream_http_protocol_options: { auto_san_validation: true },
  });
});

it("takes what the mesh gives all destinations for what is not a service's, too", () => {
  const mesh = { defaultTrafficPolicy: { connectionPool: { tcp: { maxConnections: 7, connectTimeout: "3s" } } } };
  const clusters = clustersOf(reviewsObjects, mesh);
  expect(clusters.get("PassthroughCluster")).toMatchObject({
    connect_timeout: "3s",
    circuit_breakers: { thresholds: [{ max_connections: 7 }] },
  });
  expect(clusters.get("BlackHoleCluster")).toMatchObject({ connect_timeout: "10s" });
});
