import { describe, expect, it } from "vitest";
import { applyObjects, createTestMesh } from "../../../test/support/mesh-objects.ts";
import { destinationRule, kubePort, kubeService, virtualService } from "../../../test/support/sample-objects.ts";
import { type TestViewOptions, viewOf } from "../../../test/support/scope-views.ts";
import type { MeshObject } from "../../api/kinds.ts";
import type { VirtualServiceSpec } from "../../api/virtual-service/schema.ts";
import {
  findGatewayTcpRoute,
  type L4Request,
  type L4RoutePlan,
  listGatewayTlsMatches,
  matchTcpRoutes,
  matchTlsRoutes,
} from "./l4-routes.ts";

const db = kubeService("db", { clusterIP: "10.96.1.30", ports: [kubePort("tcp", 27017)] });
const dbHost = "db.bookinfo.svc.cluster.local";
const app = { app: "productpage" };

function sniEntry(name: string): MeshObject {
  return {
    kind: "ServiceEntry",
    apiVersion: "networking.istio.io/v1",
    meta: { name, namespace: "bookinfo", labels: {}, annotations: {} },
    spec: { hosts: [`${name}.example`], ports: [{ number: 443, name: "tls", protocol: "TLS" }], resolution: "DNS" },
  };
}

type Options = TestViewOptions & { readonly hostname?: string; readonly request?: Partial<L4Request> };

function plan(
  match: typeof matchTcpRoutes,
  objects: readonly MeshObject[],
  { hostname = dbHost, request = {}, ...options }: Options = {},
): readonly L4RoutePlan[] {
  const view = viewOf(applyObjects(createTestMesh(), db, ...objects), options);
  const service = view.findService(hostname);
  const [listener] = view.egressListeners;
  if (service === undefined || listener === undefined) throw new Error(`no service ${hostname}`);
  const port = service.ports[0]?.number ?? 0;
  const { virtualServices } = listener;
  return match(view, { service, port, virtualServices, destinationSubnets: [], bindsWildcard: false, ...request });
}

const rules = (spec: Partial<VirtualServiceSpec>): MeshObject => virtualService("db", { hosts: ["db"], ...spec });
const to = (subset: string) => ({ destination: { host: "db", subset } });
const chains = (plans: readonly L4RoutePlan[]): readonly unknown[] =>
  plans.map(({ destinationSubnets, target }) => [destinationSubnets, target.clusters.map(({ name }) => name)]);

describe("matchTcpRoutes", () => {
  it("goes to the service where no rule is", () => {
    expect(plan(matchTcpRoutes, [])).toEqual([
      {
        sniHosts: [],
        destinationSubnets: [],
        configRef: undefined,
        sources: [{ object: { kind: "Service", namespace: "bookinfo", name: "db" }, path: "" }],
        target: {
          clusters: [{ name: `outbound|27017||${dbHost}`, weight: undefined }],
          statPrefix: `outbound|27017||${dbHost}`,
          idleTimeout: undefined,
          maxConnectionDuration: undefined,
          hashesSourceIp: false,
          tunnel: undefined,
        },
      },
    ]);
  });

  it("makes a chain for subnets and one for the rest", () => {
    const route = [
      { ...to("v1"), weight: 75 },
      { ...to("v2"), weight: 25 },
    ];
    const match = [{ sourceLabels: app, port: 27017, destinationSubnets: ["10.96.1.0/24"] }];
    const objects = [rules({ tcp: [{ match, route }, { route: [to("v1")] }] })];
    const ref = { kind: "VirtualService", namespace: "bookinfo", name: "db" };
    const plans = plan(matchTcpRoutes, objects, { key: { labels: app } });
    expect(plans).toMatchObject([
      {
        destinationSubnets: ["10.96.1.0/24"],
        configRef: undefined,
        sources: [{ object: ref, path: "spec.tcp[0]" }],
        target: {
          statPrefix: "db.bookinfo",
          clusters: [
            { name: `outbound|27017|v1|${dbHost}`, weight: 75 },
            { name: `outbound|27017|v2|${dbHost}`, weight: 25 },
          ],
        },
      },
      {
        destinationSubnets: [],
        configRef: ref,
        sources: [{ object: ref, path: "spec.tcp[1]" }],
        target: { statPrefix: `outbound|27017|v1|${dbHost}` },
      },
    ]);
    expect(chains(plan(matchTcpRoutes, objects))).toEqual([[[], [`outbound|27017|v1|${dbHost}`]]]);
  });

  it.each<readonly [string, NonNullable<VirtualServiceSpec["tcp"]>[number], boolean]>([
    ["another port", { match: [{ port: 1 }], route: [to("v1")] }, false],
    ["another namespace", { match: [{ sourceNamespace: "other" }], route: [to("v1")] }, false],
    ["a gateway", { match: [{ gateways: ["edge"] }], route: [to("v1")] }, false],
    ["the mesh", { match: [{ gateways: ["mesh"], port: 27017 }], route: [to("v1")] }, true],
    ["one of several matches", { match: [{ port: 1 }, { port: 27017 }], route: [to("v1")] }, true],
  ])("takes a rule for %s or not", (_name, rule, expected) => {
    const [first] = plan(matchTcpRoutes, [rules({ tcp: [rule] })]);
    expect(first?.target.clusters[0]?.name).toBe(`outbound|27017|${expected ? "v1" : ""}|${dbHost}`);
  });

  it("adds the service itself behind subnets, except where they are its own", () => {
    const tcp = [{ match: [{ destinationSubnets: ["10.0.0.0/8", "11.0.0.0/8"] }], route: [to("v1")] }];
    const own = { destinationSubnets: ["11.0.0.0/8", "10.0.0.0/8"] };
    expect(plan(matchTcpRoutes, [rules({ tcp })])).toHaveLength(2);
    expect(plan(matchTcpRoutes, [rules({ tcp })], { request: own })).toHaveLength(1);
    const further = [
      ...tcp,
      { match: [{ destinationSubnets: ["9.0.0.0/8", "12.0.0.0/8", "10.0.0.0/8"] }], route: [to("v2")] },
    ];
    expect(chains(plan(matchTcpRoutes, [rules({ tcp: further })], { request: own }))).toEqual([
      [["10.0.0.0/8", "11.0.0.0/8"], [`outbound|27017|v1|${dbHost}`]],
      [["10.0.0.0/8", "12.0.0.0/8", "9.0.0.0/8"], [`outbound|27017|v2|${dbHost}`]],
    ]);
  });

  it("ignores addresses on a socket", () => {
    const tcp = [{ match: [{ destinationSubnets: ["10.0.0.0/8"] }], route: [to("v1")] }];
    expect(chains(plan(matchTcpRoutes, [rules({ tcp })], { request: { port: 0 } }))).toEqual([
      [[], [`outbound|27017|v1|${dbHost}`]],
    ]);
  });
});

describe("targets", () => {
  it("reads idle time, length of connections, hashing and tunnels from the destination's rule", () => {
    const rule = destinationRule("db", {
      host: "db",
      trafficPolicy: {
        connectionPool: { tcp: { idleTimeout: "20s", maxConnectionDuration: "60s" } },
        loadBalancer: { consistentHash: { useSourceIp: true } },
        tunnel: { protocol: "POST", targetHost: "proxy.example", targetPort: 443 },
      },
      subsets: [{ name: "v1", trafficPolicy: { loadBalancer: { simple: "ROUND_ROBIN" } } }, { name: "v2" }],
    });
    const shared = { idleTimeout: "20s", maxConnectionDuration: "60s" };
    const tunnel = { hostname: "proxy.example:443", usesPost: true };
    expect(plan(matchTcpRoutes, [rule])[0]?.target).toMatchObject({ ...shared, tunnel, hashesSourceIp: true });
    const bySubset = (subset: string) =>
      plan(matchTcpRoutes, [rule, rules({ tcp: [{ route: [to(subset)] }] })])[0]?.target;
    expect(bySubset("v1")).toMatchObject({ ...shared, tunnel: undefined, hashesSourceIp: false });
    expect(bySubset("v2")).toMatchObject({ ...shared, tunnel: undefined, hashesSourceIp: true });
  });

  it("names statistics by the mesh's pattern", () => {
    const builder = createTestMesh({ outboundClusterStatName: "%SERVICE%_%SERVICE_PORT%_%SUBSET_NAME%" });
    const view = viewOf(applyObjects(builder, db));
    const [service] = view.services;
    if (service === undefined) throw new Error("no service");
    const request = { service, port: 27017, virtualServices: [], destinationSubnets: [], bindsWildcard: false };
    expect(matchTcpRoutes(view, request)[0]?.target.statPrefix).toBe("db.bookinfo_27017_");
  });

  it("names the port in statistics of a rule, but not in those of a service, as Istio does", () => {
    const builder = createTestMesh({ outboundClusterStatName: "%SERVICE_PORT_NAME%." });
    const view = viewOf(applyObjects(builder, db, rules({ tcp: [{ route: [to("v1")] }] })));
    const [service] = view.services;
    if (service === undefined) throw new Error("no service");
    const request = { service, port: 27017, portName: "tcp-x", destinationSubnets: [], bindsWildcard: false };
    const { virtualServices = [] } = view.egressListeners[0] ?? {};
    const prefixOf = (rulesOf: typeof virtualServices) =>
      matchTcpRoutes(view, { ...request, virtualServices: rulesOf })[0]?.target.statPrefix;
    expect([prefixOf(virtualServices), prefixOf([])]).toEqual(["tcp-x.", "."]);
  });
});

describe("matchTlsRoutes", () => {
  const entries = [sniEntry("a"), sniEntry("b")];
  const tls: VirtualServiceSpec["tls"] = [
    { match: [{ port: 443, sniHosts: ["a.example"] }], route: [{ destination: { host: "a.example" } }] },
    {
      match: [
        { port: 443, sniHosts: ["a.example"] },
        { port: 443, sniHosts: ["b.example"], destinationSubnets: ["192.0.2.0/24"] },
        { port: 8443, sniHosts: ["c.example"] },
      ],
      route: [
        { destination: { host: "a.example" }, weight: 50 },
        { destination: { host: "b.example" }, weight: 50 },
      ],
    },
  ];

  it("makes a chain for each match once", () => {
    const objects = [...entries, virtualService("sni", { hosts: ["a.example", "b.example"], tls })];
    const plans = plan(matchTlsRoutes, objects, { hostname: "b.example" });
    expect(plans).toMatchObject([
      {
        sniHosts: ["a.example"],
        destinationSubnets: [],
        configRef: { name: "sni" },
        sources: [{ path: "spec.tls[0].match[0]" }],
        target: { clusters: [{ name: "outbound|443||a.example" }], statPrefix: "outbound|443||a.example" },
      },
      {
        sniHosts: ["b.example"],
        destinationSubnets: ["192.0.2.0/24"],
        sources: [{ path: "spec.tls[1].match[1]" }],
        target: { statPrefix: "sni.bookinfo" },
      },
    ]);
    expect(plans).toHaveLength(2);
  });

  it("tells a service by its name only where its address does not", () => {
    const names = (options: Options) => plan(matchTlsRoutes, entries, options)[0]?.sniHosts;
    expect(names({ hostname: "a.example", request: { bindsWildcard: true } })).toEqual(["a.example"]);
    expect(names({ hostname: "a.example" })).toEqual([]);
    expect(names({ request: { bindsWildcard: true } })).toEqual([]);
    expect(names({ request: { destinationSubnets: ["192.0.2.0/24"] } })).toEqual([dbHost]);
  });
});

describe("gateways", () => {
  const source = { gateways: new Set(["bookinfo/edge"]), port: 2379, labels: {}, namespace: "istio-system" };
  const spec: VirtualServiceSpec = {
    hosts: ["*"],
    gateways: ["edge", "bookinfo/other"],
    tcp: [
      { match: [{ port: 1 }], route: [to("no")] },
      { match: [{ gateways: ["other"] }], route: [to("no")] },
      { match: [{ port: 2379, sourceLabels: app, sourceNamespace: "x" }], route: [to("yes")] },
    ],
    tls: [
      {
        match: [
          { sniHosts: ["a.example"], gateways: ["edge"] },
          { sniHosts: ["b.example"], port: 1 },
        ],
        route: [to("v1")],
      },
    ],
  };
  const [resolved] = applyObjects(createTestMesh(), virtualService("gw", spec)).virtualServices;

  it("take the first TCP rule for their port, whatever the source", () => {
    expect(resolved && findGatewayTcpRoute(resolved, source)?.path).toBe("spec.tcp[2]");
    expect(resolved && findGatewayTcpRoute(resolved, { ...source, port: 5 })).toBeUndefined();
  });

  it("take all TLS matches for their port", () => {
    expect(resolved && listGatewayTlsMatches(resolved, source).map(({ path }) => path)).toEqual([
      "spec.tls[0].match[0]",
    ]);
  });
});
