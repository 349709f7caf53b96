import { unpackAny } from "@meltemi/protos";
import type { FilterChain, Listener } from "@meltemi/protos/envoy/config/listener/v3";
import { describe, expect, it } from "vitest";
import { buildMesh, parseMeshObjects, setObjects } from "../../../test/support/mesh-objects.ts";
import { parseNode } from "../../model/node.ts";
import type { Snapshot } from "../../snapshot/snapshot.ts";
import { type Built, sourcesOf } from "../built.ts";
import { createScopeView } from "../scopes/create-scope-view.ts";
import { deriveKeys } from "../scopes/derive-keys.ts";
import { outboundListeners } from "./outbound.ts";

const base = `
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.96.0.1, selector: {app: web}, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {clusterIP: 10.96.0.2, selector: {app: db}, ports: [{name: tcp, port: 5432}]}
`;

function listenersOf(snapshot: Snapshot, metadata: object = {}): readonly Built<Listener>[] {
  const proxy = parseNode({
    id: "sidecar~10.0.0.9~client-x.shop~shop.svc.cluster.local",
    metadata: {
      NAMESPACE: "shop",
      CLUSTER_ID: "Kubernetes",
      ISTIO_VERSION: "1.31.0",
      LABELS: { app: "client" },
      ...metadata,
    },
  });
  if (typeof proxy === "string") throw new Error(proxy);
  const keys = deriveKeys(snapshot, proxy);
  return outboundListeners(createScopeView(snapshot, keys.scope), keys.listener);
}

const namesOf = (listeners: readonly Built<Listener>[]): readonly string[] => listeners.map(({ name }) => name);

function find(listeners: readonly Built<Listener>[], name: string): Built<Listener> {
  const found = listeners.find((listener) => listener.name === name);
  if (found === undefined) throw new Error(`no listener ${name} in ${namesOf(listeners).join()}`);
  return found;
}

/** The last filter of a chain: the routes that it asks for, or the cluster that it sends to. */
function endOf(chain: FilterChain | undefined): string {
  const last = chain?.filters?.at(-1)?.typed_config;
  if (last === undefined) return "nothing";
  const { message } = unpackAny(last);
  const rds = message["rds"] as { readonly route_config_name?: string } | undefined;
  return String(rds?.route_config_name ?? message["cluster"] ?? JSON.stringify(message["weighted_clusters"]));
}

describe("listeners for services", () => {
  it("has one listener for a port of HTTP, one for an address of TCP, and the one for everything", () => {
    expect(namesOf(listenersOf(buildMesh(base).current))).toEqual(["0.0.0.0_80", "10.96.0.2_5432", "virtualOutbound"]);
  });

  it("balances connections where the proxy asks for it, but not those of the one for everything", () => {
    const listeners = listenersOf(buildMesh(base).current, { OUTBOUND_LISTENER_EXACT_BALANCE: "true" });
    expect(listeners.map(({ message }) => message.connection_balance_config)).toEqual([
      { exact_balance: {} },
      { exact_balance: {} },
      undefined,
    ]);
  });

  it("lets what is not HTTP past an HTTP chain", () => {
    const { message } = find(listenersOf(buildMesh(base).current), "0.0.0.0_80");
    expect(message.filter_chains?.map(endOf)).toEqual(["80"]);
    expect(message.filter_chains?.[0]?.filter_chain_match?.application_protocols).toEqual(["http/1.1", "h2c"]);
    expect(message.default_filter_chain?.name).toBe("PassthroughFilterChain");
    expect(endOf(message.default_filter_chain)).toBe("PassthroughCluster");
  });

  it("drops what is unknown where a Sidecar allows known hosts only", () => {
    const sidecar = `
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: shop}
spec: {outboundTrafficPolicy: {mode: REGISTRY_ONLY}}
`;
    const listeners = listenersOf(buildMesh(`${base}---${sidecar}`).current);
    expect(endOf(find(listeners, "0.0.0.0_80").message.default_filter_chain)).toBe("BlackHoleCluster");
    expect(find(listeners, "virtualOutbound").message.filter_chains?.map(endOf)).toEqual([
      "BlackHoleCluster",
      "BlackHoleCluster",
    ]);
    expect(find(listeners, "virtualOutbound").sources).toEqual([
      { kind: "Sidecar", namespace: "shop", name: "default" },
    ]);
  });

  it("leaves the port that redirected traffic comes to alone where TCP would be taken on all addresses", () => {
    const entry = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: any, namespace: shop}
spec: {hosts: [any.example], ports: [{number: 15001, name: tcp, protocol: TCP}], resolution: NONE}
`;
    expect(namesOf(listenersOf(buildMesh(entry).current))).toEqual(["virtualOutbound"]);
  });

  it("puts TCP of a port that a Sidecar declares at the service's address, and HTTP at all", () => {
    const sidecar = `
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: shop}
spec:
  egress:
    - {port: {number: 5432, protocol: TCP, name: tcp}, hosts: ["./*"]}
    - {port: {number: 80, protocol: HTTP, name: http}, hosts: ["./*"]}
`;
    const listeners = listenersOf(buildMesh(`${base}---${sidecar}`).current);
    expect(namesOf(listeners)).toEqual(["0.0.0.0_80", "10.96.0.2_5432", "virtualOutbound"]);
  });

  it("tells TLS by name at blocks of addresses, and by the address where there is one", () => {
    const entry = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: pay, namespace: shop}
spec:
  hosts: [pay.example]
  addresses: [10.70.0.0/24, 10.71.0.9]
  ports: [{number: 443, name: tls, protocol: TLS}]
  resolution: NONE
`;
    const [everywhere, others] = listenersOf(buildMesh(entry).current);
    expect([everywhere?.name, others?.name]).toEqual(["0.0.0.0_443", "10.71.0.9_443"]);
    const match = everywhere?.message.filter_chains?.[0]?.filter_chain_match;
    expect(match?.prefix_ranges?.map(({ address_prefix }) => address_prefix)).toEqual(["10.70.0.0"]);
    expect(match?.server_names).toEqual(["pay.example"]);
    expect(others?.message.filter_chains?.map((chain) => chain.filter_chain_match)).toEqual([undefined]);
    const bound = find(listenersOf(buildMesh(entry).current, { INTERCEPTION_MODE: "NONE" }), "127.0.0.1_443");
    expect(bound.message.filter_chains?.[0]?.filter_chain_match).toEqual({ server_names: ["pay.example"] });
  });

  it("has one chain for addresses that an entry or a rule names twice", () => {
    const entry = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: pay, namespace: shop}
spec:
  hosts: [pay.example]
  addresses: [10.70.0.0/24, 10.70.0.9/24]
  ports: [{number: 443, name: tls, protocol: TLS}, {number: 90, name: tcp, protocol: TCP}]
  resolution: NONE
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: db, namespace: shop}
spec:
  hosts: [db]
  tcp:
    - match: [{destinationSubnets: [10.0.0.0/8, 10.1.0.0/8]}, {destinationSubnets: [10.0.0.0/8]}]
      route: [{destination: {host: db}}]
`;
    const listeners = listenersOf(buildMesh(`${base}---${entry}`).current);
    const rangesOf = (name: string) =>
      find(listeners, name).message.filter_chains?.map((chain) => chain.filter_chain_match?.prefix_ranges);
    const block = (address_prefix: string, value: number) => ({ address_prefix, prefix_len: { value } });
    expect(rangesOf("0.0.0.0_443")).toEqual([[block("10.70.0.0", 24)]]);
    expect(rangesOf("0.0.0.0_90")).toEqual([[block("10.70.0.0", 24)]]);
    expect(rangesOf("10.96.0.2_5432")).toEqual([[block("10.0.0.0", 8)]]);
  });

  it("serves HTTP and TCP of one address by what the first bytes say", () => {
    const entry = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: any, namespace: shop}
spec: {hosts: [any.example], ports: [{number: 80, name: tcp, protocol: TCP}], resolution: NONE}
`;
    const { message, sources } = find(listenersOf(buildMesh(`${base}---${entry}`).current), "0.0.0.0_80");
    expect(message.filter_chains?.map(endOf)).toEqual(["80"]);
    expect(endOf(message.default_filter_chain)).toBe("outbound|80||any.example");
    expect(sources.map(({ name }) => name).sort()).toEqual(["any", "web"]);
  });

  it("keeps MongoDB away from HTTP on the same address: the older service wins", () => {
    const entry = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: mongo, namespace: shop, creationTimestamp: "2020-01-01T00:00:00Z"}
spec: {hosts: [mongo.example], ports: [{number: 80, name: mongo, protocol: MONGO}], resolution: NONE}
---
${base.replace("{name: web, namespace: shop}", '{name: web, namespace: shop, creationTimestamp: "2021-01-01T00:00:00Z"}')}
`;
    const { message } = find(listenersOf(buildMesh(entry).current), "0.0.0.0_80");
    expect(message.filter_chains?.map(endOf)).toEqual(["outbound|80||mongo.example"]);
    expect(message.filter_chains?.[0]?.filters?.map(({ name }) => name)).toEqual([
      "envoy.filters.network.mongo_proxy",
      "envoy.filters.network.tcp_proxy",
    ]);
  });
});

describe("listeners by address", () => {
  it("tells services without an address by server name, blocks by address", () => {
    const entries = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: tls, namespace: shop}
spec: {hosts: [a.example, "*.b.example"], ports: [{number: 443, name: tls, protocol: TLS}], resolution: NONE}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: block, namespace: shop}
spec: {hosts: [c.example], addresses: [192.0.2.0/24], ports: [{number: 7000, name: tcp, protocol: TCP}], resolution: NONE}
`;
    const listeners = listenersOf(buildMesh(entries).current);
    const tls = find(listeners, "0.0.0.0_443").message;
    expect(tls.filter_chains?.map((chain) => chain.filter_chain_match?.server_names?.join()).sort()).toEqual([
      "*.b.example",
      "a.example",
    ]);
    expect(tls.listener_filters?.map(({ name }) => name)).toEqual(["envoy.filters.listener.tls_inspector"]);
    expect(find(listeners, "0.0.0.0_7000").message.filter_chains?.[0]?.filter_chain_match?.prefix_ranges).toEqual([
      { address_prefix: "192.0.2.0", prefix_len: { value: 24 } },
    ]);
  });

  it("gives every endpoint of a headless TCP service a listener, but not the workload's own", () => {
    const headless = `
apiVersion: v1
kind: Service
metadata: {name: peers, namespace: shop}
spec: {clusterIP: None, selector: {app: client}, ports: [{name: tcp, port: 7000}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
addressType: IPv4
metadata: {name: peers-1, namespace: shop, labels: {kubernetes.io/service-name: peers}}
ports: [{name: tcp, port: 7000, protocol: TCP}]
endpoints:
- {addresses: [10.0.0.9], conditions: {ready: true}}
- {addresses: [10.0.0.8], conditions: {ready: true}}
`;
    expect(namesOf(listenersOf(buildMesh(headless).current))).toEqual(["10.0.0.8_7000", "virtualOutbound"]);
  });

  it("routes TCP by weight and by subnet, and says which rule made a chain", () => {
    const rules = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: db, namespace: shop}
spec:
  hosts: [db]
  tcp:
  - match: [{destinationSubnets: [10.96.0.0/24]}]
    route: [{destination: {host: db, subset: a}, weight: 1}, {destination: {host: db, subset: b}, weight: 3}]
`;
    const { message } = find(listenersOf(buildMesh(`${base}---${rules}`).current), "10.96.0.2_5432");
    const [chain] = message.filter_chains ?? [];
    expect(endOf(chain)).toContain('"name":"outbound|5432|b|db.shop.svc.cluster.local","weight":3');
    expect(endOf(message.default_filter_chain)).toBe("outbound|5432||db.shop.svc.cluster.local");
    expect(chain === undefined ? [] : sourcesOf(chain)).toEqual([
      { object: { kind: "VirtualService", namespace: "shop", name: "db" }, path: "spec.tcp[0]" },
    ]);
  });
});

describe("listeners by interception and Sidecar", () => {
  it("binds real ports on loopback where nothing is redirected", () => {
    const listeners = listenersOf(buildMesh(base).current, { INTERCEPTION_MODE: "NONE", HTTP_PROXY_PORT: "15080" });
    expect(namesOf(listeners)).toEqual(["127.0.0.1_5432", "127.0.0.1_80", "127.0.0.1_15080"]);
    const { message } = find(listeners, "127.0.0.1_80");
    expect(message.bind_to_port).toBeUndefined();
    expect(message.default_filter_chain).toBeUndefined();
    expect(message.filter_chains?.map((chain) => [endOf(chain), chain.filter_chain_match])).toEqual([
      ["80", undefined],
    ]);
    expect(message.listener_filters).toBeUndefined();
  });

  it("leaves ports out that an unprivileged proxy cannot bind", () => {
    const metadata = { INTERCEPTION_MODE: "NONE", UNPRIVILEGED_POD: "true" };
    expect(namesOf(listenersOf(buildMesh(base).current, metadata))).toEqual(["127.0.0.1_5432"]);
  });

  it("keeps a port that a Sidecar declares for the services it names", () => {
    const sidecar = `
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: shop}
spec:
  egress:
  - {port: {number: 80, protocol: HTTP, name: http}, bind: 127.0.0.1, captureMode: NONE, hosts: ["./web.shop.svc.cluster.local"]}
  - {port: {number: 5432, protocol: TCP, name: tcp}, hosts: ["./db.shop.svc.cluster.local"]}
  - {hosts: ["./*"]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: more, namespace: shop}
spec: {hosts: [more.example], addresses: [10.96.0.2], ports: [{number: 5432, name: tcp, protocol: TCP}], resolution: NONE}
`;
    const listeners = listenersOf(buildMesh(`${base}---${sidecar}`).current);
    expect(namesOf(listeners)).toEqual(["0.0.0.0_80", "10.96.0.2_5432", "127.0.0.1_80", "virtualOutbound"]);
    expect(find(listeners, "127.0.0.1_80").message.bind_to_port).toBeUndefined();
    const declared = find(listeners, "10.96.0.2_5432");
    expect(declared.message.filter_chains?.map(endOf)).toEqual(["outbound|5432||db.shop.svc.cluster.local"]);
    expect(declared.sources.map(({ kind }) => kind)).toEqual(["Sidecar", "Service"]);
  });
});

describe("listeners that stay", () => {
  it("gives the same object again for what a change does not touch", () => {
    const builder = buildMesh(base);
    const before = listenersOf(builder.current);
    builder.apply(
      setObjects(
        parseMeshObjects(`
apiVersion: v1
kind: Service
metadata: {name: more, namespace: shop}
spec: {clusterIP: 10.96.0.3, ports: [{name: http, port: 80}, {name: tcp, port: 7000}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: db, namespace: shop}
spec: {host: db, trafficPolicy: {connectionPool: {tcp: {idleTimeout: 7s}}}}
`),
      ),
    );
    const after = listenersOf(builder.current);
    expect(namesOf(after)).toContain("10.96.0.3_7000");
    for (const name of ["0.0.0.0_80", "virtualOutbound"])
      expect(find(after, name).message).toBe(find(before, name).message);
    expect(find(after, "0.0.0.0_80").sources).toHaveLength(2);
    expect(find(after, "10.96.0.2_5432").message).not.toBe(find(before, "10.96.0.2_5432").message);
  });

  it("shares TCP listeners of workloads that tracing tells apart", () => {
    const { current } = buildMesh(base);
    const named = { LABELS: { app: "client", "service.istio.io/canonical-name": "other" } };
    const [one, other] = [listenersOf(current), listenersOf(current, named)];
    expect(find(one, "10.96.0.2_5432").message).toBe(find(other, "10.96.0.2_5432").message);
    expect(find(one, "0.0.0.0_80").message).not.toBe(find(other, "0.0.0.0_80").message);
  });
});
