import { toJson } from "@meltemi/protos";
import { expect, it } from "vitest";
import { snapshotOf } from "../../../test/support/mesh-objects.ts";
import {
  http9080,
  kubeService,
  reviewsHost,
  reviewsObjects,
  reviewsRule,
} from "../../../test/support/sample-objects.ts";
import { scopeOf } from "../../../test/support/scope-views.ts";
import type { MeshObject } from "../../api/kinds.ts";
import type { MeshConfig } from "../../api/mesh-config/schema.ts";
import { refOf } from "../../api/object.ts";
import type { Sidecar } from "../../api/sidecar/schema.ts";
import type { ScopeKey, WorkloadKey } from "../scope.ts";
import { createWorkloadView } from "../scopes/create-workload-view.ts";
import { inboundClusters } from "./inbound.ts";

interface Options {
  readonly key?: Partial<ScopeKey>;
  readonly mesh?: Partial<MeshConfig>;
  readonly hosts?: readonly string[];
}

function clustersOf(
  objects: readonly MeshObject[],
  { key = {}, mesh, hosts = [reviewsHost] }: Options = {},
): unknown[] {
  const scope = scopeOf(snapshotOf(objects, mesh), key);
  const workload: WorkloadKey = {
    id: "reviews",
    listener: {
      id: "l",
      scope: scope.key,
      canonicalService: "reviews",
      canonicalRevision: "v1",
      meshId: "",
      ownHeadlessAddresses: [],
    },
    labels: {},
    targets: hosts.map((hostname) => ({ hostname, namespace: "bookinfo", port: 9080, targetPort: 9080 })),
    addresses: ["10.20.0.10"],
  };
  return inboundClusters(createWorkloadView(scope, workload)).map(({ message }) =>
    toJson("envoy.config.cluster.v3.Cluster", message),
  );
}

function sidecar(ingress: Sidecar["spec"]["ingress"]): Sidecar {
  return {
    kind: "Sidecar",
    apiVersion: "networking.istio.io/v1",
    meta: { name: "default", namespace: "bookinfo", labels: {}, annotations: {} },
    spec: ingress === undefined ? {} : { ingress },
  };
}

function ingressOf(listener: NonNullable<Sidecar["spec"]["ingress"]>[number]): unknown {
  const object = sidecar([listener]);
  return clustersOf([...reviewsObjects, object], { key: { sidecar: refOf(object) } })[0];
}

it("passes traffic on to where it was going, from an address that is not redirected", () => {
  expect(clustersOf(reviewsObjects)).toMatchObject([
    {
      name: "inbound|9080||",
      type: "ORIGINAL_DST",
      lb_policy: "CLUSTER_PROVIDED",
      cleanup_interval: "9223372035s",
      upstream_bind_config: { source_address: { address: "127.0.0.6", port_value: 0 } },
      metadata: {
        filter_metadata: { istio: { services: [{ host: reviewsHost, name: "reviews", namespace: "bookinfo" }] } },
      },
    },
    { name: "InboundPassthroughCluster", type: "ORIGINAL_DST" },
  ]);
});

it("names all services of a port and lets the first decide", () => {
  const second = kubeService("second", { clusterIP: "10.96.1.14", ports: [http9080] });
  const hosts = [reviewsHost, "second.bookinfo.svc.cluster.local"];
  const [cluster] = clustersOf([...reviewsObjects, second], { hosts });
  expect(JSON.stringify(cluster)).toContain('"name":"second"');
});

it("takes only the limits of the service's rule", () => {
  const rule = reviewsRule({
    trafficPolicy: { connectionPool: { http: { http1MaxPendingRequests: 7 } }, loadBalancer: { simple: "RANDOM" } },
  });
  expect(clustersOf([...reviewsObjects, rule])[0]).toMatchObject({
    lb_policy: "CLUSTER_PROVIDED",
    circuit_breakers: { thresholds: [{ max_pending_requests: 7 }] },
    metadata: { filter_metadata: { istio: { config: expect.stringContaining("destination-rule/reviews") } } },
  });
});

it.each([
  ["127.0.0.1:8080", { type: "STATIC" }, "127.0.0.1", false],
  ["0.0.0.0:8080", { type: "STATIC" }, "10.20.0.10", true],
  ["[::1]:8080", { type: "STATIC" }, "127.0.0.1", false],
])("sends a Sidecar's port to %s", (defaultEndpoint, expected, address, binds) => {
  const cluster = ingressOf({ port: { number: 9080, protocol: "HTTP", name: "http" }, defaultEndpoint });
  expect(cluster).toMatchObject({ name: "inbound|9080||", ...expected });
  expect(JSON.stringify(cluster)).toContain(`"address":"${address}","port_value":8080`);
  expect(Object.hasOwn(cluster as object, "upstream_bind_config")).toBe(binds);
});

it("sends a Sidecar's port to a Unix socket", () => {
  const cluster = ingressOf({ port: { number: 9080, protocol: "HTTP" }, defaultEndpoint: "unix:///tmp/app" });
  expect(JSON.stringify(cluster)).toContain('"pipe":{"path":"/tmp/app"}');
});

it("leaves out a Sidecar's port with a malformed endpoint and keeps the others", () => {
  const ports: Sidecar["spec"]["ingress"] = [
    { port: { number: 1, protocol: "TCP" }, defaultEndpoint: "somewhere" },
    { port: { number: 2, protocol: "TCP" }, defaultEndpoint: "127.0.0.1:2" },
  ];
  const object = sidecar(ports);
  const clusters = clustersOf([object], { key: { sidecar: refOf(object) }, hosts: [] });
  expect(clusters).toMatchObject([{ name: "inbound|2||" }, { name: "InboundPassthroughCluster" }]);
});

it("has clusters for a Sidecar's ports alone where no traffic is redirected, to localhost", () => {
  const key = { interceptionMode: "NONE" } as const;
  expect(clustersOf(reviewsObjects, { key })).toMatchObject([{ name: "InboundPassthroughCluster" }]);
  const object = sidecar([{ port: { number: 9080, protocol: "HTTP" } }]);
  const address = { socket_address: { address: "127.0.0.1", port_value: 9080 } };
  expect(clustersOf([...reviewsObjects, object], { key: { ...key, sidecar: refOf(object) } })).toMatchObject([
    { type: "STATIC", load_assignment: { endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] } },
    { name: "InboundPassthroughCluster" },
  ]);
});

it("passes a Sidecar's port without an endpoint on, also where the mesh sends to localhost", () => {
  const object = sidecar([{ port: { number: 9080, protocol: "HTTP" } }]);
  const mesh = { inboundTrafficPolicy: { mode: "LOCALHOST" } } as const;
  expect(clustersOf([...reviewsObjects, object], { mesh, key: { sidecar: refOf(object) } })[0]).toMatchObject({
    type: "ORIGINAL_DST",
  });
});

it("names a Sidecar's port that is no service's after the Sidecar", () => {
  const object = sidecar([{ port: { number: 7, protocol: "TCP" } }]);
  const mesh = { inboundClusterStatName: "%SERVICE%_%SERVICE_PORT%" };
  const [cluster] = clustersOf([object], { mesh, key: { sidecar: refOf(object) }, hosts: [] });
  expect(cluster).toMatchObject({ name: "inbound|7||", alt_stat_name: "default.bookinfo_7;" });
  expect(cluster).not.toHaveProperty("metadata");
});

it("sends to localhost where the mesh says so", () => {
  const [cluster] = clustersOf(reviewsObjects, { mesh: { inboundTrafficPolicy: { mode: "LOCALHOST" } } });
  expect(cluster).toMatchObject({ type: "STATIC" });
});

it("gives routers none", () => {
  expect(clustersOf(reviewsObjects, { key: { proxyType: "router" } })).toEqual([]);
});

it("takes the mesh's limits where neither a Sidecar nor the rule says any", () => {
  const mesh = { defaultTrafficPolicy: { connectionPool: { tcp: { maxConnections: 7 } } } };
  const limits = (count: number) => ({ circuit_breakers: { thresholds: [{ max_connections: count }] } });
  expect(clustersOf(reviewsObjects, { mesh })).toMatchObject([limits(7), limits(7)]);
  const rule = reviewsRule({ trafficPolicy: { connectionPool: { tcp: { maxConnections: 9 } } } });
  expect(clustersOf([...reviewsObjects, rule], { mesh })).toMatchObject([limits(9), limits(7)]);
});
