import { register } from "@grpc/grpc-js-xds";
// The client's own checks: what they refuse, a gRPC process cannot use.
import { ClusterResourceType } from "@grpc/grpc-js-xds/build/src/xds-resource-type/cluster-resource-type.js";
import { EndpointResourceType } from "@grpc/grpc-js-xds/build/src/xds-resource-type/endpoint-resource-type.js";
import { ListenerResourceType } from "@grpc/grpc-js-xds/build/src/xds-resource-type/listener-resource-type.js";
import { RouteConfigurationResourceType } from "@grpc/grpc-js-xds/build/src/xds-resource-type/route-config-resource-type.js";
import { encode, type TypeName, toJson } from "@meltemi/protos";
import { describe, expect, it } from "vitest";
import { snapshotOf } from "../../../test/support/mesh-objects.ts";
import {
  peerAuthentication,
  reviewsCluster,
  reviewsHost,
  reviewsObjects,
  reviewsRule,
  virtualService,
} from "../../../test/support/sample-objects.ts";
import { scopeOf } from "../../../test/support/scope-views.ts";
import type { VirtualServiceSpec } from "../../api/virtual-service/schema.ts";
import type { Built } from "../built.ts";
import type { ScopeView, WorkloadView } from "../scope.ts";
import { createWorkloadView } from "../scopes/create-workload-view.ts";
import { grpcGenerators } from "./generators.ts";

register();

const view = scopeOf(snapshotOf(reviewsObjects));
const context = {
  server: { serverUri: "127.0.0.1:15010", serverFeatures: [] },
  bootstrap: { certificateProviders: { default: {} } },
} as never;

interface ResourceType {
  decode(context: never, any: { type_url: string; value: Buffer }): { readonly name: string; readonly error?: string };
}

/** What the client finds wrong with a resource; undefined where it takes it. */
function refusalOf(type: ResourceType, typeName: TypeName, built: Built<object> | undefined): string | undefined {
  const value = Buffer.from(encode(typeName, built?.message as never));
  return type.decode(context, { type_url: `type.googleapis.com/${typeName}`, value }).error;
}

const refusalOfRoute = (built: Built<object> | undefined) =>
  refusalOf(RouteConfigurationResourceType.get() as never, "envoy.config.route.v3.RouteConfiguration", built);

function routesOf(spec: VirtualServiceSpec): { readonly built: Built<object> | undefined; readonly text: string } {
  const rule = reviewsRule({ subsets: [{ name: "v1", labels: { version: "v1" } }] });
  const routed = scopeOf(snapshotOf([...reviewsObjects, rule, virtualService("reviews", spec)]));
  const built = grpcGenerators.route(routed, reviewsCluster);
  return { built, text: JSON.stringify(toJson("envoy.config.route.v3.RouteConfiguration", built?.message ?? {})) };
}

const destination = { host: reviewsHost };

describe("a client's listener", () => {
  it.each([`${reviewsHost}:9080`, "reviews:9080", "reviews.bookinfo:9080", "reviews.bookinfo.svc:9080"])(
    "is found as %s and taken by the client",
    (name) => {
      const built = grpcGenerators.listener(view, name);
      expect(built?.name).toBe(name);
      expect(
        refusalOf(ListenerResourceType.get() as never, "envoy.config.listener.v3.Listener", built),
      ).toBeUndefined();
      expect(JSON.stringify(toJson("envoy.config.listener.v3.Listener", built?.message ?? {}))).toContain(
        `"route_config_name":"${reviewsCluster}"`,
      );
    },
  );

  it.each(["reviews:1", "nobody:9080", "reviews", ""])("is not there for %j", (name) => {
    expect(grpcGenerators.listener(view, name)).toBeUndefined();
  });
});

describe("a client's routes", () => {
  it("go to the service where no rule says otherwise", () => {
    const built = grpcGenerators.route(view, reviewsCluster);
    expect(refusalOfRoute(built)).toBeUndefined();
    expect(JSON.stringify(built?.message)).toContain(`"cluster":"${reviewsCluster}"`);
  });

  it("follow a virtual service, with the timeout where gRPC looks for it", () => {
    const { built, text } = routesOf({
      hosts: [reviewsHost],
      http: [
        {
          match: [{ uri: { prefix: "/shop.Cart" }, headers: { user: { exact: "jason" } } }],
          route: [{ destination: { ...destination, subset: "v1" } }],
          timeout: "5s",
          fault: { abort: { httpStatus: 500, percentage: { value: 10 } } },
        },
        {
          route: [
            { destination, weight: 90 },
            { destination: { ...destination, subset: "v1" }, weight: 10 },
          ],
        },
      ],
    });
    expect(refusalOfRoute(built)).toBeUndefined();
    expect(text).toContain(`"cluster":"outbound|9080|v1|${reviewsHost}"`);
    expect(text).toContain('"max_stream_duration":{"max_stream_duration":"5s"}');
    expect(text).toContain('"exact_match":"jason"');
    expect(text).toContain("weighted_clusters");
  });

  it("leave out what gRPC would refuse the whole configuration for", () => {
    const { built, text } = routesOf({
      hosts: [reviewsHost],
      http: [
        { match: [{ uri: { exact: "/a" } }], redirect: { uri: "/b" } },
        { match: [{ uri: { exact: "/c" } }], directResponse: { status: 418 } },
        { match: [{ queryParams: { q: { exact: "1" } } }], route: [{ destination: { ...destination, subset: "v1" } }] },
        { route: [{ destination }] },
      ],
    });
    expect(refusalOfRoute(built)).toBeUndefined();
    expect(text.match(/"match"/g)).toHaveLength(1);
  });

  it("are not there for unknown names", () => {
    expect(grpcGenerators.route(view, "9080")).toBeUndefined();
    expect(grpcGenerators.route(view, "outbound|1||nobody")).toBeUndefined();
  });
});

describe("a client's clusters", () => {
  const clusterType = "envoy.config.cluster.v3.Cluster";
  const cluster = (scope: ScopeView, name = reviewsCluster) => grpcGenerators.cluster(scope, name);
  const withRule = (spec: Parameters<typeof reviewsRule>[0]) =>
    scopeOf(snapshotOf([...reviewsObjects, reviewsRule(spec)]));

  it("take endpoints from EDS and are taken by the client", () => {
    expect(refusalOf(ClusterResourceType.get() as never, clusterType, cluster(view))).toBeUndefined();
    const endpoints = grpcGenerators.loadAssignment(view, reviewsCluster);
    const assignment = "envoy.config.endpoint.v3.ClusterLoadAssignment";
    expect(refusalOf(EndpointResourceType.get() as never, assignment, endpoints)).toBeUndefined();
    expect(endpoints?.message.endpoints).toHaveLength(2);
  });

  it("hash where the rule does, and use no balancer that gRPC does not know", () => {
    const hash = withRule({ trafficPolicy: { loadBalancer: { consistentHash: { useSourceIp: true } } } });
    expect(cluster(hash)?.message.lb_policy).toBe("RING_HASH");
    const random = withRule({ trafficPolicy: { loadBalancer: { simple: "RANDOM" } } });
    expect(cluster(random)?.message.lb_policy).toBe("ROUND_ROBIN");
    expect(refusalOf(ClusterResourceType.get() as never, clusterType, cluster(random))).toBeUndefined();
  });

  it("speak mutual TLS only where the rule says so", () => {
    expect(cluster(view)?.message).not.toHaveProperty("transport_socket");
    const mutual = cluster(withRule({ trafficPolicy: { tls: { mode: "ISTIO_MUTUAL" } } }));
    const text = JSON.stringify(toJson(clusterType, mutual?.message ?? {}));
    expect(text).toContain('"instance_name":"default","certificate_name":"ROOTCA"');
    expect(text).toContain("spiffe://cluster.local/ns/bookinfo/sa/reviews");
  });

  it.each([
    "outbound|9080|no|reviews.bookinfo.svc.cluster.local",
    "outbound|1||reviews.bookinfo.svc.cluster.local",
    "x",
  ])("are not there for %s", (name) => expect(cluster(view, name)).toBeUndefined());
});

describe("a server's listener", () => {
  const name = "xds.istio.io/grpc/lds/inbound/10.20.0.10:9080";

  function workloadOf(...policies: readonly ReturnType<typeof peerAuthentication>[]): WorkloadView {
    const scope = scopeOf(snapshotOf([...reviewsObjects, ...policies]));
    return createWorkloadView(scope, {
      id: "w",
      listener: {
        id: "l",
        scope: scope.key,
        canonicalService: "",
        canonicalRevision: "",
        meshId: "",
        ownHeadlessAddresses: [],
      },
      labels: {},
      targets: [{ hostname: reviewsHost, namespace: "bookinfo", port: 9080, targetPort: 9080 }],
      addresses: [],
    });
  }

  const textOf = (work: WorkloadView): string =>
    JSON.stringify(
      toJson("envoy.config.listener.v3.Listener", grpcGenerators.serverListener(work, name)?.message ?? {}),
    );

  it("takes plain text, or mutual TLS where it must", () => {
    const strict = peerAuthentication("bookinfo", "p", { mtls: { mode: "STRICT" } });
    expect(textOf(workloadOf())).toContain("inbound-plaintext");
    expect(textOf(workloadOf(strict))).toContain("inbound-mtls");
    expect(textOf(workloadOf(strict))).toContain('"require_client_certificate":true');
  });

  it("is not there for ports of no service", () => {
    expect(grpcGenerators.serverListener(workloadOf(), "xds.istio.io/grpc/lds/inbound/10.20.0.10:1")).toBeUndefined();
    expect(grpcGenerators.serverListener(workloadOf(), "reviews:9080")).toBeUndefined();
  });
});
