import { toJson } from "@meltemi/protos";
import type { ClusterLoadAssignment } from "@meltemi/protos/envoy/config/endpoint/v3";
import { describe, expect, it } from "vitest";
import { applyObjects, createTestMesh, snapshotOf } from "../../../test/support/mesh-objects.ts";
import {
  http9080,
  kubePort,
  kubeService,
  peerAuthentication,
  pod,
  reviewsCluster,
  reviewsHost,
  reviewsObjects,
  reviewsPods,
  reviewsRule,
  serviceEntry,
  slice,
} from "../../../test/support/sample-objects.ts";
import { scopeOf } from "../../../test/support/scope-views.ts";
import type { MeshObject } from "../../api/kinds.ts";
import type { MeshConfig } from "../../api/mesh-config/schema.ts";
import type { ScopeKey } from "../scope.ts";
import { loadAssignment, loadAssignmentNames, serviceOfLoadAssignment } from "./load-assignment.ts";

interface Options {
  readonly key?: Partial<ScopeKey>;
  readonly mesh?: Partial<MeshConfig>;
  readonly name?: string;
}

function messageOf(
  objects: readonly MeshObject[],
  { key, mesh, name = reviewsCluster }: Options = {},
): ClusterLoadAssignment {
  return loadAssignment(scopeOf(snapshotOf(objects, mesh), key), name)?.message ?? {};
}

/** The localities as "zone/priority/weight: last part of the addresses". */
function outline(message: ClusterLoadAssignment): readonly string[] {
  return (message.endpoints ?? []).map(
    ({ locality, priority = 0, load_balancing_weight: weight, lb_endpoints: members = [] }) => {
      const addresses = members.map(({ endpoint }) => endpoint?.address?.socket_address?.address?.split(".")[3]);
      return `${locality?.zone ?? ""}/${priority}/${weight?.value ?? "-"}: ${addresses.join(" ")}`;
    },
  );
}

const near: Partial<ScopeKey> = { locality: { region: "r1", zone: "z1", subzone: "" } };
const outlierDetection = { consecutive5xxErrors: 1 };

describe("grouping", () => {
  it("sorts localities and sums their weights", () => {
    expect(outline(messageOf(reviewsObjects))).toEqual(["z1/0/1: 11", "z2/0/2: 10 12"]);
  });

  it("says of an endpoint what telemetry and mutual TLS read", () => {
    const [first] = messageOf(reviewsObjects).endpoints ?? [];
    expect(toJson("envoy.config.endpoint.v3.LocalityLbEndpoints", first ?? {})).toEqual({
      locality: { region: "r1", zone: "z1" },
      load_balancing_weight: 1,
      lb_endpoints: [
        {
          endpoint: { address: { socket_address: { address: "10.20.0.11", port_value: 9080 } } },
          health_status: "HEALTHY",
          load_balancing_weight: 1,
          metadata: {
            filter_metadata: {
              "envoy.transport_socket_match": { tlsMode: "istio" },
              istio: { workload: "reviews-v2;bookinfo;reviews;v2;Kubernetes" },
            },
          },
        },
      ],
    });
  });

  it("keeps the endpoints of a subset only", () => {
    const rule = reviewsRule({ subsets: [{ name: "v1", labels: { version: "v1" } }] });
    const message = messageOf([...reviewsObjects, rule], { name: `outbound|9080|v1|${reviewsHost}` });
    expect(outline(message)).toEqual(["z2/0/1: 10"]);
  });
});

describe("health", () => {
  const members = reviewsPods.slice(0, 2);
  const withSlice = (overrides: Parameters<typeof slice>[3]): MeshObject[] => [
    ...reviewsObjects,
    slice("reviews", http9080, members, overrides),
  ];

  it("sends endpoints that are not ready, marked so", () => {
    const text = JSON.stringify(messageOf(withSlice({ "reviews-v1": { ready: false } })));
    expect(text).toContain('"health_status":"UNHEALTHY"');
  });

  it("keeps them back where Envoy might use them: with a minimum of healthy ones", () => {
    const rule = reviewsRule({ trafficPolicy: { outlierDetection: { minHealthPercent: 10 } } });
    expect(outline(messageOf([...withSlice({ "reviews-v1": { ready: false } }), rule]))).toEqual(["z1/0/1: 11"]);
  });

  it("leaves out endpoints that drain", () => {
    const draining = pod("reviews-v1", "10.20.0.10", { labels: { "istio.io/draining": "true" } });
    expect(outline(messageOf([...withSlice({}), draining]))).toEqual(["z1/0/1: 11"]);
  });

  it("says nothing of endpoints that nobody watches", () => {
    const entry = serviceEntry("static", {
      hosts: ["s.example"],
      ports: [{ number: 80, name: "http", protocol: "HTTP" }],
      resolution: "STATIC",
      endpoints: [{ address: "192.0.2.1", weight: 7 }, { address: "unix:///tmp/s" }],
    });
    const message = messageOf([entry], { name: "outbound|80||s.example" });
    expect(JSON.stringify(message)).not.toContain("health_status");
    expect(JSON.stringify(message)).toContain('"pipe":{"path":"/tmp/s"}');
    expect(message.endpoints?.[0]?.load_balancing_weight).toEqual({ value: 8 });
  });
});

describe("mutual TLS", () => {
  const match = "envoy.transport_socket_match";
  const matches = (objects: readonly MeshObject[], name?: string): number =>
    JSON.stringify(messageOf(objects, name === undefined ? {} : { name })).split(match).length - 1;

  it.each<[string, MeshObject, number]>([
    [
      "a policy for the workload disables it",
      peerAuthentication("bookinfo", "p", { selector: { matchLabels: { version: "v1" } }, mtls: { mode: "DISABLE" } }),
      2,
    ],
    [
      "a policy for the port disables it",
      peerAuthentication("bookinfo", "p", {
        selector: { matchLabels: { app: "reviews" } },
        portLevelMtls: { 9080: { mode: "DISABLE" } },
      }),
      0,
    ],
    ["the rule speaks plain text", reviewsRule({ trafficPolicy: { tls: { mode: "SIMPLE" } } }), 0],
    ["the rule speaks mutual TLS", reviewsRule({ trafficPolicy: { tls: { mode: "ISTIO_MUTUAL" } } }), 3],
    ["a rule says nothing of it", reviewsRule({ trafficPolicy: { loadBalancer: { simple: "RANDOM" } } }), 3],
  ])("is told of endpoints: %s", (_case, object, count) => {
    expect(matches([...reviewsObjects, object])).toBe(count);
  });

  it("is all that is behind gateways that forward by server name", () => {
    const plain = pod("reviews-v1", "10.20.0.10", { hasProxy: false });
    const objects = [...reviewsObjects, plain];
    const name = `outbound_.9080_._.${reviewsHost}`;
    const message = messageOf(objects, { name, key: { proxyType: "router" } });
    expect(outline(message).flatMap((line) => line.split(": ")[1])).not.toContain("10");
    const onlyPlain = [...objects, slice("reviews", http9080, [plain])];
    expect(messageOf(onlyPlain, { name, key: { proxyType: "router" } }).endpoints).toEqual([{ locality: {} }]);
  });
});

describe("localities", () => {
  const ruled = (trafficPolicy: Parameters<typeof reviewsRule>[0]["trafficPolicy"]): MeshObject[] => [
    ...reviewsObjects,
    reviewsRule(trafficPolicy === undefined ? {} : { trafficPolicy }),
  ];

  it("prefers the near ones where failing ones are found out", () => {
    expect(outline(messageOf(ruled({ outlierDetection }), { key: near }))).toEqual(["z1/0/1: 11", "z2/1/2: 10 12"]);
  });

  it.each([
    ["nothing finds out which fail", ruled(undefined), {}],
    ["the rule turns it off", ruled({ outlierDetection, loadBalancer: { localityLbSetting: { enabled: false } } }), {}],
    ["the mesh turns it off", ruled({ outlierDetection }), { localityLbSetting: { enabled: false } }],
  ] as const)("treats all alike where %s", (_case, objects, mesh) => {
    expect(outline(messageOf(objects, { key: near, mesh }))).toEqual(["z1/0/1: 11", "z2/0/2: 10 12"]);
  });

  it("distributes by shares and drops what has none", () => {
    const distribute = [{ from: "r1/z1/*", to: { "r1/z2": 80, r9: 20 } }];
    const objects = ruled({ loadBalancer: { localityLbSetting: { distribute } } });
    expect(outline(messageOf(objects, { key: near }))).toEqual(["z1/0/1: ", "z2/0/80: 10 12"]);
  });

  it("fails over to the region that the rule names", () => {
    const localityLbSetting = { failover: [{ from: "r0", to: "r1" }] };
    const key = { locality: { region: "r0", zone: "z", subzone: "" } };
    const away = [...reviewsObjects, pod("reviews-v1", "10.20.0.10", { labels: { "istio-locality": "r9.z9" } })];
    const rule = reviewsRule({ trafficPolicy: { outlierDetection, loadBalancer: { localityLbSetting } } });
    expect(outline(messageOf([...away, rule], { key }))).toEqual(["z1/0/1: 11", "z2/0/1: 12", "z9/1/1: 10"]);
  });

  it("ranks by labels, splitting localities", () => {
    const failoverPriority = ["topology.kubernetes.io/region", "version=v3"];
    const objects = ruled({ outlierDetection, loadBalancer: { localityLbSetting: { failoverPriority } } });
    expect(outline(messageOf(objects, { key: near }))).toEqual(["z1/1/1: 11", "z2/0/1: 12", "z2/1/1: 10"]);
  });
});

describe("names", () => {
  const view = scopeOf(snapshotOf(reviewsObjects));

  it.each(["outbound|1||nobody.example", `outbound|1||${reviewsHost}`])("answers %s with nothing in it", (name) => {
    expect(loadAssignment(view, name)?.message).toEqual({ cluster_name: name });
  });

  it.each(["inbound|9080||", "PassthroughCluster", ""])("has no answer for %j", (name) => {
    expect(loadAssignment(view, name)).toBeUndefined();
  });

  it("lists those of clusters that take endpoints, and tells their services", () => {
    expect(loadAssignmentNames(view)).toEqual([reviewsCluster]);
    expect(serviceOfLoadAssignment(view, reviewsCluster)).toBe(`bookinfo/${reviewsHost}`);
    expect(serviceOfLoadAssignment(view, "outbound|1||nobody.example")).toBeUndefined();
  });

  it("has none for clusters that go to the original destination", () => {
    const rule = reviewsRule({ trafficPolicy: { loadBalancer: { simple: "PASSTHROUGH" } } });
    const passing = scopeOf(snapshotOf([...reviewsObjects, rule]));
    expect(loadAssignment(passing, reviewsCluster)).toBeUndefined();
    expect(loadAssignmentNames(passing)).toEqual([]);
  });
});

it("rebuilds one endpoint of many and keeps the others as they are", () => {
  const builder = createTestMesh();
  const wireOf = (message: ClusterLoadAssignment | undefined) =>
    (message?.endpoints ?? []).flatMap((group) => group.lb_endpoints ?? []);
  const first = loadAssignment(scopeOf(applyObjects(builder, ...reviewsObjects)), reviewsCluster)?.message;
  const same = loadAssignment(scopeOf(applyObjects(builder, pod("other", "10.20.0.99"))), reviewsCluster)?.message;
  const changed = slice("reviews", http9080, reviewsPods, { "reviews-v3": { ready: false } });
  const next = loadAssignment(scopeOf(applyObjects(builder, changed)), reviewsCluster)?.message;
  expect(same).toBe(first);
  const kept = wireOf(next).filter((wire) => wireOf(first).includes(wire));
  expect(kept).toHaveLength(2);
  expect(wireOf(next)).toHaveLength(3);
});

it("belongs to the port that is not UDP where two have the same number", () => {
  const udp = { ...kubePort("dns", 53), protocol: "UDP" as const };
  const tcp = { ...kubePort("dns-tcp", 53), targetPort: 5353 };
  const member = pod("dns", "10.20.0.53");
  const objects = [kubeService("dns", { ports: [udp, tcp] }), member, slice("dns", tcp, [member])];
  const message = messageOf(objects, { name: "outbound|53||dns.bookinfo.svc.cluster.local" });
  expect(message.endpoints?.[0]?.lb_endpoints).toHaveLength(1);
});
