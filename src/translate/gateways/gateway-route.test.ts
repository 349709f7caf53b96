import { decode, encode, findUnknownKeys, toJson } from "@meltemi/protos";
import type { RouteConfiguration, VirtualHost } from "@meltemi/protos/envoy/config/route/v3";
import { describe, expect, it } from "vitest";
import { applyObjects, createTestMesh } from "../../../test/support/mesh-objects.ts";
import {
  gateway,
  httpTo,
  kubePort,
  kubeService,
  reviews,
  rules,
  server,
} from "../../../test/support/sample-objects.ts";
import { type GatewayViewOptions, gatewayViewOf, viewOfSnapshot } from "../../../test/support/scope-views.ts";
import type { MeshObject } from "../../api/kinds.ts";
import { sourcesOf } from "../built.ts";
import { buildGatewayRoute, listGatewayRouteNames } from "./gateway-route.ts";

const wireType = "envoy.config.route.v3.RouteConfiguration";
const redirect = { tls: { httpsRedirect: true } } as const;
const simple = { tls: { mode: "SIMPLE", credentialName: "cert" } } as const;

function configure(
  name: string,
  objects: readonly MeshObject[],
  options?: GatewayViewOptions,
): RouteConfiguration & { readonly virtual_hosts: readonly VirtualHost[] } {
  const { message } = buildGatewayRoute(gatewayViewOf([reviews, ...objects], options), name);
  expect(findUnknownKeys(wireType, message)).toEqual([]);
  expect(toJson(wireType, decode(wireType, encode(wireType, message)))).toEqual(toJson(wireType, message));
  return { ...message, virtual_hosts: message.virtual_hosts ?? [] };
}

const domainsOf = ({ virtual_hosts: hosts }: ReturnType<typeof configure>): unknown =>
  hosts.map(({ name, domains }) => [name, domains]);
const prefixesOf = (host: VirtualHost | undefined): unknown => host?.routes?.map(({ match }) => match?.prefix);

describe("virtual hosts", () => {
  it("are for the hosts that server and virtual service share, with the declared port in the name", () => {
    const config = configure(
      "http.8080",
      [
        gateway("gw", [server("HTTP 80 http", ["a.com", "*.b.com"])]),
        rules("vs", ["a.com", "x.b.com", "c.com"], { http: [httpTo("/a"), httpTo(undefined)] }),
      ],
      { key: { targets: [{ hostname: "gw", namespace: "istio-system", port: 80, targetPort: 8080 }] } },
    );
    expect(toJson(wireType, config)).toMatchObject({
      name: "http.8080",
      validate_clusters: false,
      ignore_port_in_host_matching: true,
      max_direct_response_body_size_bytes: 1048576,
    });
    // The same routes: one virtual host, named by the longest host.
    expect(domainsOf(config)).toEqual([["x.b.com:80", ["x.b.com", "a.com"]]]);
    expect(config.virtual_hosts[0]?.include_request_attempt_count).toBe(true);
    expect(config.virtual_hosts[0]?.routes?.[0]?.route?.cluster).toBe(
      "outbound|9080||reviews.bookinfo.svc.cluster.local",
    );
  });

  it("leave out hosts of virtual services in other namespaces", () => {
    const servers = [server("HTTP 80 http", ["other/a.com", "bookinfo/b.com"])];
    const config = configure("http.80", [gateway("gw", servers), rules("vs", ["*"], { http: [httpTo(undefined)] })]);
    expect(domainsOf(config)).toEqual([["b.com:80", ["b.com"]]]);
  });

  it("add the routes of further virtual services, and move those that take everything to the end", () => {
    const config = configure("http.80", [
      gateway("gw", [server("HTTP 80 http", ["a.com"])]),
      rules("1", ["a.com"], { http: [httpTo("/1"), httpTo(undefined)] }),
      rules("2", ["a.com"], { http: [httpTo("/2")] }),
    ]);
    expect(prefixesOf(config.virtual_hosts[0])).toEqual(["/1", "/2", "/"]);
  });

  it("build rules for the port of the first server and its gateway only", () => {
    const route = [{ destination: { host: "reviews.bookinfo.svc.cluster.local" } }];
    const match = (port: number, gateways: string[]) => ({
      match: [{ uri: { prefix: `/${port}` }, port, gateways }],
      route,
    });
    const config = configure("http.80", [
      gateway("gw", [server("HTTP 80 http", ["a.com"])]),
      rules("vs", ["a.com"], {
        http: [match(80, ["istio-system/gw"]), match(81, ["istio-system/gw"]), match(80, ["mesh"])],
      }),
    ]);
    expect(prefixesOf(config.virtual_hosts[0])).toEqual(["/80"]);
  });

  it("send to the service of the rule's own namespace where several have the host", () => {
    const entry = (namespace: string, number: number): MeshObject => ({
      kind: "ServiceEntry",
      apiVersion: "networking.istio.io/v1",
      meta: { name: "out", namespace, labels: {}, annotations: {} },
      spec: { hosts: ["out.example"], ports: [{ number, name: "http", protocol: "HTTP" }], resolution: "DNS" },
    });
    const config = configure("http.80", [
      gateway("gw", [server("HTTP 80 http", ["*"])]),
      entry("a", 1),
      entry("bookinfo", 2),
      rules("vs", ["a.com"], { http: [httpTo(undefined, "out.example")] }),
    ]);
    expect(config.virtual_hosts[0]?.routes?.[0]?.route?.cluster).toBe("outbound|2||out.example");
  });

  it("are lower case, as Envoy compares hosts", () => {
    const config = configure("http.80", [
      gateway("gw", [server("HTTP 80 http", ["*"])]),
      rules("vs", ["A.com"], { http: [httpTo(undefined)] }),
    ]);
    expect(domainsOf(config)).toEqual([["a.com:80", ["a.com"]]]);
  });

  it("say which objects made them", () => {
    const config = configure("http.80", [
      gateway("gw", [server("HTTP 80 http", ["a.com"])]),
      rules("vs", ["a.com"], { http: [httpTo(undefined)] }),
    ]);
    expect(config.virtual_hosts.map(sourcesOf)).toEqual([
      [
        { object: { kind: "Gateway", namespace: "istio-system", name: "gw" }, path: "spec.servers[0]" },
        { object: { kind: "VirtualService", namespace: "bookinfo", name: "vs" }, path: "" },
      ],
    ]);
  });
});

describe("a server that redirects to HTTPS", () => {
  it("has a virtual host for every host, with routes where there are some", () => {
    const config = configure("http.80", [
      gateway("gw", [server("HTTP 80 http", ["a.com", "b.com", "ns/c.com"], redirect)]),
      rules("vs", ["a.com"], { http: [httpTo(undefined)] }),
    ]);
    expect(config.virtual_hosts).toMatchObject([
      { name: "a.com:80", require_tls: "ALL", routes: [{}] },
      // As Istio has it: hosts for one namespace stand with it, and no request names them.
      { name: "ns/c.com:80", domains: ["ns/c.com", "b.com"], require_tls: "ALL" },
    ]);
    expect(config.virtual_hosts[1]?.routes).toBeUndefined();
  });

  it("stays apart from hosts with the same routes that do not redirect", () => {
    const config = configure("http.80", [
      gateway("gw", [server("HTTP 80 a", ["a.com"], redirect), server("HTTP 80 b", ["b.com"])]),
      rules("vs", ["a.com", "b.com"], { http: [httpTo(undefined)] }),
    ]);
    expect(config.virtual_hosts.map(({ name, require_tls: tls }) => [name, tls])).toEqual([
      ["a.com:80", "ALL"],
      ["b.com:80", undefined],
    ]);
  });
});

describe("without virtual hosts", () => {
  it("answers everything with 404 on a port that has a server", () => {
    const config = configure("http.80", [gateway("gw", [server("HTTP 80 http", ["a.com"])]), rules("vs", ["a.com"])]);
    expect(config.virtual_hosts).toEqual([{ name: "blackhole:80", domains: ["*"] }]);
  });

  it("gives an empty configuration for a name that no server has", () => {
    expect(configure("http.81", [])).toEqual({ name: "http.81", validate_clusters: {}, virtual_hosts: [] });
  });
});

it("names the route configurations of listeners that the proxy may bind", () => {
  const servers = [
    server("HTTP 8080 a", ["*"]),
    server("HTTP 80 b", ["*"]),
    server("HTTPS 8443 c", ["*"], simple),
    server("TCP 9000 d", ["*"]),
  ];
  const objects = [gateway("gw", servers)];
  const secure = "https.8443.c.gw.istio-system";
  expect(listGatewayRouteNames(gatewayViewOf(objects))).toEqual(["http.80", "http.8080", secure]);
  expect(listGatewayRouteNames(gatewayViewOf(objects, { key: { privileged: false } }))).toEqual(["http.8080", secure]);
});

describe("after a change", () => {
  const count = 200;
  const name = (index: number): string => `h${index}.com`;
  const route = (index: number, prefix: string) => rules(`vs-${index}`, [name(index)], { http: [httpTo(prefix)] });

  it("only the virtual hosts of the virtual service that changed are built anew", () => {
    const mesh = createTestMesh();
    const hosts = Array.from({ length: count }, (_, index) => name(index));
    const objects = hosts.map((_, index) => route(index, "/a"));
    const before = applyObjects(mesh, reviews, gateway("gw", [server("HTTP 80 http", hosts)]), ...objects);
    const first = buildGatewayRoute(viewOfSnapshot(before), "http.80").message.virtual_hosts ?? [];
    expect(first).toHaveLength(count);
    const after = applyObjects(mesh, route(7, "/b"));
    const second = buildGatewayRoute(viewOfSnapshot(after), "http.80").message.virtual_hosts ?? [];
    expect(second.filter((host) => !first.includes(host)).map((host) => host.name)).toEqual(["h7.com:80"]);
  });

  it("of something else the very same configuration comes back", () => {
    const mesh = createTestMesh();
    const before = applyObjects(mesh, reviews, gateway("gw", [server("HTTP 80 http", ["*"])]), route(1, "/a"));
    const first = buildGatewayRoute(viewOfSnapshot(before), "http.80");
    const after = applyObjects(mesh, kubeService("other", { clusterIP: "10.96.3.3", ports: [kubePort("http", 80)] }));
    expect(buildGatewayRoute(viewOfSnapshot(after), "http.80")).toBe(first);
  });
});
