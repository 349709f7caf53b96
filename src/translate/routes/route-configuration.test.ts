import { decode, encode, findUnknownKeys, toJson } from "@meltemi/protos";
import type { RouteConfiguration, VirtualHost } from "@meltemi/protos/envoy/config/route/v3";
import { describe, expect, it } from "vitest";
import { applyObjects, createTestMesh } from "../../../test/support/mesh-objects.ts";
import {
  destinationRule,
  kubePort,
  kubeService,
  ratings,
  reviews,
  virtualService,
} from "../../../test/support/sample-objects.ts";
import { type TestViewOptions, viewOf } from "../../../test/support/scope-views.ts";
import type { MeshObject } from "../../api/kinds.ts";
import type { HttpRoute, VirtualServiceSpec } from "../../api/virtual-service/schema.ts";
import { sourcesOf } from "../built.ts";
import { listDroppedDomains, routeConfiguration, routeNames } from "./route-configuration.ts";

const wireType = "envoy.config.route.v3.RouteConfiguration";
const toHost = (host: string): readonly HttpRoute[] => [{ route: [{ destination: { host } }] }];

function configure(name: string, objects: readonly MeshObject[], options?: TestViewOptions): RouteConfiguration {
  const { message } = routeConfiguration(viewOf(applyObjects(createTestMesh(), ...objects), options), name);
  expect(findUnknownKeys(wireType, message)).toEqual([]);
  expect(toJson(wireType, decode(wireType, encode(wireType, message)))).toEqual(toJson(wireType, message));
  return message;
}

const hostsOf = (message: RouteConfiguration): readonly VirtualHost[] => message.virtual_hosts ?? [];
const namesOf = (message: RouteConfiguration): readonly unknown[] => hostsOf(message).map(({ name }) => name);
const find = (message: RouteConfiguration, name: string): VirtualHost | undefined =>
  hostsOf(message).find((host) => host.name === name);
const clusterOf = (host: VirtualHost | undefined): unknown => host?.routes?.[0]?.route?.cluster;

const reviewsHost = "reviews.bookinfo.svc.cluster.local:9080";

describe("a port's route configuration", () => {
  it("has the services of the port by name, then the host for everything else", () => {
    const message = configure("9080", [reviews, ratings, kubeService("db", { ports: [kubePort("tcp", 9080)] })]);
    expect(toJson(wireType, message)).toMatchObject({
      name: "9080",
      validate_clusters: false,
      ignore_port_in_host_matching: true,
      max_direct_response_body_size_bytes: 1048576,
    });
    expect(namesOf(message)).toEqual([
      "ratings.bookinfo.svc.cluster.local:9080",
      "reviews.bookinfo.svc.cluster.local:9080",
      "allow_any",
    ]);
    expect(find(message, "reviews.bookinfo.svc.cluster.local:9080")).toMatchObject({
      include_request_attempt_count: true,
      routes: [
        {
          name: "default",
          route: { cluster: "outbound|9080||reviews.bookinfo.svc.cluster.local" },
          decorator: { operation: "reviews.bookinfo.svc.cluster.local:9080/*" },
        },
      ],
    });
  });

  it("blocks unknown hosts where only the registry may be called", () => {
    const message = configure("9080", [], { policy: "REGISTRY_ONLY" });
    expect(hostsOf(message)).toEqual([
      {
        name: "block_all",
        domains: ["*"],
        include_request_attempt_count: true,
        routes: [{ name: "block_all", match: { prefix: "/" }, direct_response: { status: 502 } }],
      },
    ]);
  });

  it("takes the mesh's settings for retries, attempts and unknown hosts", () => {
    const builder = createTestMesh({
      defaultHttpRetryPolicy: { attempts: 0 },
      defaultConfig: { proxyHeaders: { attemptCount: { disabled: true }, xForwardedHost: { enabled: true } } },
      outboundTrafficPolicy: { mode: "ALLOW_ANY", egressProxy: { host: "out.example", port: { number: 3128 } } },
    });
    const { message } = routeConfiguration(viewOf(applyObjects(builder, reviews)), "9080");
    const [host, unknown] = hostsOf(message);
    expect(host).not.toHaveProperty("include_request_attempt_count");
    expect(host?.routes?.[0]?.route).not.toHaveProperty("retry_policy");
    expect(clusterOf(unknown)).toBe("outbound|3128||out.example");
    expect(unknown?.routes?.[0]?.route?.append_x_forwarded_host).toBe(true);
  });

  it("hashes by the rule of a service, the port's setting first", () => {
    const loadBalancer = { consistentHash: { useSourceIp: true } };
    const portLevelSettings = [{ port: { number: 9080 }, loadBalancer: { consistentHash: { httpHeaderName: "x" } } }];
    const rule = destinationRule("reviews", { host: "reviews", trafficPolicy: { loadBalancer, portLevelSettings } });
    const host = find(configure("9080", [reviews, rule]), "reviews.bookinfo.svc.cluster.local:9080");
    expect(host?.routes?.[0]?.route?.hash_policy).toEqual([{ header: { header_name: "x" } }]);
  });

  it("is empty, with the name asked for, where the name means nothing", () => {
    expect(configure("inbound|9080||", [reviews])).toEqual({ name: "inbound|9080||", validate_clusters: {} });
  });
});

describe("virtual services", () => {
  it("route their service under all its names", () => {
    const message = configure("9080", [
      reviews,
      ratings,
      virtualService("a", { hosts: ["reviews"], http: toHost("ratings") }),
    ]);
    const host = find(message, reviewsHost);
    expect(clusterOf(host)).toBe("outbound|9080||ratings.bookinfo.svc.cluster.local");
    expect(host?.domains).toEqual(expect.arrayContaining(["reviews", "reviews.bookinfo", "10.96.1.13"]));
    expect(host && sourcesOf(host).map(({ object }) => object.kind)).toEqual(["VirtualService", "Service"]);
  });

  it("leave the host to the oldest of them", () => {
    const spec = (host: string): VirtualServiceSpec => ({ hosts: ["reviews"], http: toHost(host) });
    const objects = [
      reviews,
      virtualService("a", spec("young.example"), { creationTimestamp: "2026-02-01T00:00:00Z" }),
      virtualService("b", spec("old.example"), { creationTimestamp: "2026-01-01T00:00:00Z" }),
    ];
    expect(clusterOf(find(configure("9080", objects), reviewsHost))).toBe("outbound|9080||old.example");
    const dropped = listDroppedDomains(viewOf(applyObjects(createTestMesh(), ...objects)), "9080");
    expect(dropped).toMatchObject([
      { virtualHost: reviewsHost, domain: undefined, sources: [{ object: { name: "a" } }, {}] },
    ]);
  });

  it("give way to the next one where none of their rules applies here", () => {
    const http = [{ match: [{ gateways: ["edge"] }], route: [{ destination: { host: "first.example" } }] }];
    const objects = [
      reviews,
      virtualService("a", { hosts: ["reviews"], http }),
      virtualService("b", { hosts: ["reviews"], http: toHost("second.example") }),
    ];
    expect(clusterOf(find(configure("9080", objects), reviewsHost))).toBe("outbound|9080||second.example");
  });

  it("apply by wildcard, unless a more specific one is there", () => {
    const objects = [
      reviews,
      ratings,
      virtualService("wide", { hosts: ["*.svc.cluster.local"], http: toHost("wide.example") }),
      virtualService("near", { hosts: ["*.bookinfo.svc.cluster.local"], http: toHost("near.example") }),
      virtualService("exact", { hosts: ["reviews"], http: toHost("exact.example") }),
    ];
    const message = configure("9080", objects);
    expect(clusterOf(find(message, reviewsHost))).toBe("outbound|9080||exact.example");
    expect(clusterOf(find(message, "ratings.bookinfo.svc.cluster.local:9080"))).toBe("outbound|9080||near.example");
    expect(namesOf(message)).toHaveLength(3);
  });

  it("serve hosts in lower case, as Envoy compares them", () => {
    const rule = virtualService("a", {
      hosts: ["Reviews.bookinfo.svc.cluster.local", "Shop.Example", "*.Shop.Example"],
      http: toHost("reviews"),
    });
    expect(namesOf(configure("80", [reviews, rule]))).toEqual([
      "*.shop.example:80",
      "reviews.bookinfo.svc.cluster.local:80",
      "shop.example:80",
      "allow_any",
    ]);
    expect(namesOf(configure("9080", [reviews, rule]))).toEqual([
      "*.shop.example:9080",
      reviewsHost,
      "shop.example:9080",
      "allow_any",
    ]);
  });

  it("serve hosts that no service has on port 80, elsewhere only beside a service", () => {
    const both = virtualService("a", { hosts: ["reviews", "*.shop.example"], http: toHost("reviews") });
    const alone = virtualService("b", { hosts: ["www.shop.example"], http: toHost("reviews") });
    const names = (name: string): readonly unknown[] => namesOf(configure(name, [reviews, both, alone]));
    expect(names("80")).toEqual([
      "*.shop.example:80",
      "reviews.bookinfo.svc.cluster.local:80",
      "www.shop.example:80",
      "allow_any",
    ]);
    expect(names("9080")).toEqual(["*.shop.example:9080", reviewsHost, "allow_any"]);
  });
});

describe("virtual services for wildcards and for everything", () => {
  it("for a host below a wildcard service apply on port 80, and elsewhere only beside a service", () => {
    const entry: MeshObject = {
      kind: "ServiceEntry",
      apiVersion: "networking.istio.io/v1",
      meta: { name: "wild", namespace: "bookinfo", labels: {}, annotations: {} },
      spec: {
        hosts: ["*.wild.example"],
        ports: [
          { number: 80, name: "http", protocol: "HTTP" },
          { number: 8080, name: "http-alt", protocol: "HTTP" },
        ],
        resolution: "NONE",
      },
    };
    const objects = [entry, virtualService("a", { hosts: ["x.wild.example"], http: toHost("out.example") })];
    expect(namesOf(configure("80", objects))).toEqual(["*.wild.example:80", "x.wild.example:80", "allow_any"]);
    expect(namesOf(configure("8080", objects))).toEqual(["*.wild.example:8080", "allow_any"]);
  });

  it("for every host take the place of what happens to unknown hosts", () => {
    const message = configure("80", [virtualService("a", { hosts: ["*"], http: toHost("out.example") })]);
    expect(hostsOf(message).map(({ name, domains }) => [name, domains])).toEqual([["*:80", ["*"]]]);
  });

  it("of the Gateway API count for their own namespace", () => {
    const meta = { namespace: "other", annotations: { "internal.istio.io/route-semantics": "gateway" } };
    const hosts = ["reviews.bookinfo.svc.cluster.local"];
    const foreign = virtualService("a", { hosts, http: toHost("x.example") }, meta);
    expect(clusterOf(find(configure("9080", [reviews, foreign]), reviewsHost))).toBe(
      "outbound|9080||reviews.bookinfo.svc.cluster.local",
    );
    const client = { key: { namespace: "other", dnsDomain: "other.svc.cluster.local" } };
    expect(clusterOf(find(configure("9080", [reviews, foreign], client), reviewsHost))).toBe(
      "outbound|9080||x.example",
    );
  });
});

describe("names that come twice", () => {
  it("leaves a short name to the service whose full name it is", () => {
    const entry: MeshObject = {
      kind: "ServiceEntry",
      apiVersion: "networking.istio.io/v1",
      meta: { name: "short", namespace: "bookinfo", labels: {}, annotations: {} },
      spec: {
        hosts: ["reviews.bookinfo"],
        ports: [{ number: 9080, name: "http", protocol: "HTTP" }],
        resolution: "DNS",
      },
    };
    const message = configure("9080", [reviews, entry]);
    expect(find(message, "reviews.bookinfo.svc.cluster.local:9080")?.domains).not.toContain("reviews.bookinfo");
    expect(find(message, "reviews.bookinfo:9080")?.domains).toContain("reviews.bookinfo");
  });
});

describe("other kinds of names", () => {
  const auto = kubeService("auto", { clusterIP: "10.96.1.60", ports: [kubePort("any", 7003)] });
  const other = kubeService("other", { clusterIP: "10.96.1.61", ports: [kubePort("any", 7003), kubePort("http", 80)] });

  it("answers for one service under every host where its protocol is found out", () => {
    const message = configure("auto.bookinfo.svc.cluster.local:7003", [auto, other]);
    expect(hostsOf(message)).toMatchObject([{ name: "auto.bookinfo.svc.cluster.local:7003", domains: ["*"] }]);
    expect(namesOf(configure("nobody.example:7003", [auto, other]))).toEqual([]);
  });

  it("compares hosts with their port for an HTTP proxy", () => {
    const message = configure("http_proxy", [auto, other]);
    expect(message.ignore_port_in_host_matching).toBeUndefined();
    expect(namesOf(message)).toEqual([
      "auto.bookinfo.svc.cluster.local:7003",
      "other.bookinfo.svc.cluster.local:7003",
      "other.bookinfo.svc.cluster.local:80",
      "allow_any",
    ]);
    const domains = find(message, "auto.bookinfo.svc.cluster.local:7003")?.domains ?? [];
    expect(domains).toContain("auto:7003");
    expect(domains).not.toContain("auto");
    expect(find(message, "other.bookinfo.svc.cluster.local:80")?.domains).toContain("other");
  });

  it("serves declared egress listeners by their port and their socket", () => {
    const declared = { port: { number: 9080, name: "http", protocol: "HTTP" }, bind: undefined } as const;
    const socket = { port: { number: 0, name: "uds", protocol: "HTTP" }, bind: "unix:///var/run/e.sock" } as const;
    const proxy = { port: { number: 8888, name: "proxy", protocol: "HTTP_PROXY" }, bind: undefined } as const;
    const options = { egress: [declared, socket, proxy] };
    const view = viewOf(applyObjects(createTestMesh(), reviews, other), options);
    expect(routeNames(view)).toEqual(["8888", "9080", "unix:///var/run/e.sock"]);
    expect(namesOf(configure("unix:///var/run/e.sock", [reviews, other], options))).toContain(
      "reviews.bookinfo.svc.cluster.local:9080",
    );
    expect(namesOf(configure("8888", [reviews, other], options))).toContain("other.bookinfo.svc.cluster.local:80");
    expect(namesOf(configure("80", [reviews, other], options))).toEqual(["allow_any"]);
  });

  it("lists the names that listeners ask for", () => {
    const headless = kubeService("pods", { clusterIP: "None", ports: [kubePort("any", 7100), kubePort("http", 7000)] });
    const objects = [reviews, auto, other, headless, kubeService("db", { ports: [kubePort("tcp", 3306)] })];
    expect(routeNames(viewOf(applyObjects(createTestMesh({ proxyHttpPort: 15080 }), ...objects)))).toEqual([
      "7000",
      "7100",
      "80",
      "9080",
      "auto.bookinfo.svc.cluster.local:7003",
      "http_proxy",
      "other.bookinfo.svc.cluster.local:7003",
    ]);
  });
});

describe("what did not change", () => {
  const rule = (timeout: string): MeshObject =>
    virtualService("a", { hosts: ["reviews"], http: [{ timeout, route: [{ destination: { host: "reviews" } }] }] });

  it("stays the same object after a change elsewhere", () => {
    const builder = createTestMesh();
    const before = routeConfiguration(viewOf(applyObjects(builder, reviews, ratings, rule("1s"))), "9080");
    const unrelated = routeConfiguration(
      viewOf(applyObjects(builder, kubeService("x", { ports: [kubePort("http", 80)] }))),
      "9080",
    );
    expect(unrelated).toBe(before);
    const after = routeConfiguration(viewOf(applyObjects(builder, rule("2s"))), "9080");
    expect(after.message).not.toBe(before.message);
    const changed = hostsOf(after.message).filter((host, index) => host !== hostsOf(before.message)[index]);
    expect(changed.map(({ name }) => name)).toEqual(["reviews.bookinfo.svc.cluster.local:9080"]);
    expect(changed[0]?.routes?.[0]?.route?.timeout).toEqual({ seconds: 2 });
  });

  it("is shared by scopes that see it alike", () => {
    const snapshot = applyObjects(createTestMesh(), reviews, rule("1s"));
    const from = (namespace: string) =>
      routeConfiguration(viewOf(snapshot, { key: { namespace, dnsDomain: `${namespace}.svc.cluster.local` } }), "9080");
    expect(from("x")).toBe(from("y"));
    expect(from("bookinfo")).not.toBe(from("x"));
  });

  it("is built anew for a proxy that can take less", () => {
    const snapshot = applyObjects(createTestMesh(), reviews);
    const capabilities = { istioVersion: undefined, extensions: new Set<string>(), acceptHttp10: false };
    const [host] = hostsOf(routeConfiguration(viewOf(snapshot, { key: { capabilities } }), "9080").message);
    expect(host?.routes?.[0]?.route?.retry_policy).not.toHaveProperty("retry_host_predicate");
    const [full] = hostsOf(routeConfiguration(viewOf(snapshot), "9080").message);
    expect(full?.routes?.[0]?.route?.retry_policy).toHaveProperty("retry_host_predicate");
  });
});
