import { readdirSync, readFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { generators } from "../bootstrap/generators.ts";
import { silentLog } from "../lib/log.ts";
import { parseNode } from "../model/node.ts";
import { createSnapshotBuilder } from "../snapshot/build.ts";
import { createMemorySource } from "../sources/memory.ts";
import type { DebugAccess } from "./debug/access.ts";
import { type HttpServers, startHttpServers } from "./http-server.ts";
import { createMetrics } from "./metrics.ts";
import type { ConnectionView, DebugPort } from "./ports.ts";

/** Tokens are names of namespaces here. */
const access: DebugAccess = {
  authenticate: async ([token]) => token?.reveal(),
  rules: { checksNamespace: true, systemNamespace: () => "istio-system", allowedNamespaces: new Set(["ops"]) },
};
const sampleFolder = new URL("../../manifests/samples/bookinfo/", import.meta.url);
const connection = createConnection();
let isReady = false;
let servers: HttpServers;

beforeAll(async () => {
  const debug = await createSamplePort();
  servers = await startHttpServers({
    // All addresses, so that one request can come from another than loopback.
    httpAddress: { host: "", port: 0 },
    monitoringAddress: { host: "127.0.0.1", port: 0 },
    status: {
      isReady: () => isReady,
      describe: () => (isReady ? "" : "not ready: the mesh is not read yet"),
      version: "1.2.3",
    },
    metrics: createMetrics({ debug, version: "1.2.3", uptimeSeconds: () => 7 }),
    debug: { port: debug, access },
    log: silentLog,
  });
});

afterAll(() => servers.stop());

async function createSamplePort(): Promise<DebugPort> {
  const source = createMemorySource();
  for (const file of readdirSync(sampleFolder).filter((name) => name.endsWith(".yaml"))) {
    expect(source.apply(readFileSync(new URL(file, sampleFolder), "utf8"))).toEqual([]);
  }
  const builder = createSnapshotBuilder({ domain: "cluster.local", clusterId: "Kubernetes" });
  await source.start({ apply: (changeSet) => void builder.apply(changeSet) });
  return {
    snapshot: () => builder.current,
    generators,
    listConnections: () => [connection],
    listCachedResources: () => [{ typeUrl: "type.googleapis.com/a.B", name: "one", byteLength: 1500 }],
    clearCache: () => undefined,
    pushAll: () => 1,
  };
}

function createConnection(): ConnectionView {
  const proxy = parseNode({
    id: "sidecar~127.0.0.1~productpage-v1.bookinfo~bookinfo.svc.cluster.local",
    metadata: {
      CLUSTER_ID: "Kubernetes",
      NAMESPACE: "bookinfo",
      LABELS: { app: "productpage", version: "v1" },
      INTERCEPTION_MODE: "NONE",
    },
  });
  if (typeof proxy === "string") throw new Error(proxy);
  return {
    connectionId: "productpage-v1.bookinfo-1",
    connectedAtMs: 0,
    address: "127.0.0.1:1",
    proxy,
    watches: new Map([
      [
        "type.googleapis.com/envoy.config.cluster.v3.Cluster",
        { names: [], nonceSent: "n2", nonceAcked: "n1", sentAtMs: 1000, lastError: "no" },
      ],
    ]),
  };
}

async function get(path: string, host = "127.0.0.1"): Promise<{ status: number; body: string; type: string | null }> {
  const response = await fetch(`http://${host}:${servers.httpPort}${path}`);
  return { status: response.status, body: await response.text(), type: response.headers.get("content-type") };
}

const getJson = async (path: string) => JSON.parse((await get(path)).body);

/** An address of this machine other than loopback, where it has one. */
const outside = Object.values(networkInterfaces())
  .flat()
  .find((address) => address !== undefined && address.family === "IPv4" && !address.internal)?.address;

describe("plain pages", () => {
  it("are not ready until the mesh can be served", async () => {
    expect((await get("/ready")).status).toBe(503);
    isReady = true;
    expect((await get("/ready")).status).toBe(200);
  });

  it("tell the version and that other pages are not there", async () => {
    expect(await get("/version")).toMatchObject({ status: 200, body: "1.2.3" });
    expect((await get("/debug/nothing")).status).toBe(404);
    expect((await get("/debug/registryz/x")).status).toBe(404);
  });

  it("give metrics under istiod's names", async () => {
    const { body, type } = await get("/metrics");
    expect(type).toContain("text/plain");
    expect(body).toContain('pilot_xds{version="unknown"} 1');
    expect(body).toMatch(/^pilot_services 6$/m);
    expect(body).toMatch(/^pilot_virt_services 3$/m);
    expect(body).toMatch(/^istiod_uptime_seconds 7$/m);
    expect(body).toMatch(/^pilot_eds_no_instances 1$/m);
    expect(body).toContain('pilot_info{version="1.2.3"} 1');
    expect(body).toContain("process_resident_memory_bytes");
  });
});

describe("debug pages", () => {
  it("have an index and a list that names each", async () => {
    const { body, type } = await get("/debug");
    expect(type).toContain("text/html");
    const names: string[] = await getJson("/debug/list");
    expect(names).toEqual(names.toSorted());
    expect(names).not.toContain("list");
    for (const name of names) expect(body).toContain(`href="/debug/${name}"`);
  });

  it.skipIf(outside === undefined)("are not shown to strangers", async () => {
    expect(await get("/debug/registryz", outside)).toMatchObject({ status: 401, body: "" });
    expect(await get("/ready", outside)).toMatchObject({ status: 200 });
  });

  it("show services in istiod's shape, indented on demand", async () => {
    const services: { hostname: string; Attributes: { Namespace: string } }[] = await getJson("/debug/registryz");
    expect(services.find(({ hostname }) => hostname.startsWith("reviews."))).toEqual({
      Attributes: {
        ServiceRegistry: "Kubernetes",
        Name: "reviews",
        Namespace: "bookinfo",
        Labels: { app: "reviews" },
        ExportTo: { "*": {} },
        LabelSelectors: { app: "reviews" },
        Aliases: null,
        ClusterExternalAddresses: { Addresses: null },
        ClusterExternalPorts: null,
        Type: "",
        ExternalName: "",
        NodeLocal: false,
        TrafficDistribution: "",
        PublishNotReadyAddresses: false,
      },
      ports: [{ name: "http", port: 9080, protocol: "HTTP" }],
      creationTime: "0001-01-01T00:00:00Z",
      hostname: "reviews.bookinfo.svc.cluster.local",
      clusterVIPs: { Addresses: { Kubernetes: ["10.96.10.3"] } },
      defaultAddress: "10.96.10.3",
      Resolution: 0,
      MeshExternal: false,
      ResourceVersion: "",
    });
    expect((await get("/debug/registryz")).body).not.toContain("\n");
    expect((await get("/debug/registryz?pretty")).body).toContain('\n  {\n    "Attributes"');
  });

  it("show endpoints by host, namespace and source", async () => {
    const byHost = await getJson("/debug/endpointz");
    const { Shards, ServiceAccounts } = byHost["reviews.bookinfo.svc.cluster.local"].bookinfo;
    expect(Object.keys(Shards)).toEqual(["Kubernetes/Kubernetes"]);
    expect(Shards["Kubernetes/Kubernetes"]).toHaveLength(3);
    expect(Shards["Kubernetes/Kubernetes"][0]).toMatchObject({
      Labels: { app: "reviews", version: "v1" },
      Addresses: ["127.0.0.1"],
      EndpointPort: 9303,
      ServicePortName: "http",
      HealthStatus: 0,
    });
    expect(ServiceAccounts).toEqual({ "spiffe://cluster.local/ns/bookinfo/sa/bookinfo-reviews": {} });
    expect(await getJson("/debug/endpointShardz")).toEqual(byHost);
  });

  it("show objects as Kubernetes prints them", async () => {
    const objects: { kind: string; metadata: { name: string } }[] = await getJson("/debug/configz");
    expect(objects.find(({ metadata }) => metadata.name === "reviews-destination")).toMatchObject({
      kind: "DestinationRule",
      apiVersion: "networking.istio.io/v1",
      metadata: { name: "reviews-destination", namespace: "bookinfo" },
      spec: { host: "reviews.bookinfo.svc.cluster.local", trafficPolicy: { loadBalancer: { simple: "RANDOM" } } },
    });
    expect(await getJson("/debug/resourcesz")).toContainEqual({
      group: "networking.istio.io",
      version: "v1",
      kind: "Sidecar",
    });
  });
});

describe("pages about proxies", () => {
  it("show the state of each proxy", async () => {
    const [status] = await getJson("/debug/syncz");
    expect(status).toMatchObject({
      cluster_id: "Kubernetes",
      proxy: "productpage-v1.bookinfo",
      proxy_type: "sidecar",
      cluster_sent: "n2",
      cluster_acked: "n1",
      resources: {
        "type.googleapis.com/envoy.config.cluster.v3.Cluster": {
          sent: "n2",
          acked: "n1",
          sentTime: "1970-01-01T00:00:01.000Z",
          lastError: "no",
        },
      },
    });
    expect(status).not.toHaveProperty("listener_sent");
    expect(await getJson("/debug/syncz?namespace=other")).toEqual([]);
    expect(await getJson("/debug/connections")).toMatchObject({ totalClients: 1 });
    expect(await getJson("/debug/adsz")).toMatchObject({ clients: [{ labels: { app: "productpage" } }] });
    expect((await get("/debug/adsz?push=true")).body).toBe("Pushed to 1 servers\n");
  });

  it("refuse pages about a proxy without a proxy, in istiod's words", async () => {
    for (const page of ["config_dump", "edsz", "sidecarz"]) {
      expect(await get(`/debug/${page}`)).toMatchObject({
        status: 400,
        body: "You must provide a proxyID in the query string\n",
      });
      expect(await get(`/debug/${page}?proxyID=other`)).toMatchObject({
        status: 404,
        body: "Proxy not connected to this Pilot instance. It may be connected to another instance.\n",
      });
    }
  });

  it("dump the configuration of a proxy in the form of Envoy's own dump", async () => {
    const { configs } = await getJson("/debug/config_dump?proxyID=productpage&include_eds");
    expect(configs.map((section: { "@type": string }) => section["@type"].split(".").at(-1))).toEqual([
      "BootstrapConfigDump",
      "ClustersConfigDump",
      "EndpointsConfigDump",
      "ListenersConfigDump",
      "ScopedRoutesConfigDump",
      "RoutesConfigDump",
      "SecretsConfigDump",
      "EcdsConfigDump",
    ]);
    const clusters = configs[1].dynamicActiveClusters.map(({ cluster }: { cluster: { name: string } }) => cluster.name);
    expect(clusters).toContain("outbound|9080|v2|reviews.bookinfo.svc.cluster.local");
    expect(clusters).toContain("inbound|9301||");
    const routes = await getJson("/debug/config_dump?proxyID=productpage&types=rds");
    expect(routes.configs[0]).toMatchObject({
      "@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
      name: "9201",
    });
    expect((await get("/debug/config_dump?proxyID=productpage&types=xyz")).status).toBe(400);
  });

  it("show what a proxy knows of the mesh", async () => {
    const scope = await getJson("/debug/sidecarz?proxyID=productpage");
    expect(scope).toMatchObject({
      name: "productpage-v1",
      namespace: "bookinfo",
      outboundTrafficPolicy: { mode: "ALLOW_ANY" },
    });
    expect(Object.keys(scope.servicesByHostname)).toContain("ratings.bookinfo.svc.cluster.local");
    expect(Object.keys(scope.destinationRules)).toEqual(["reviews.bookinfo.svc.cluster.local"]);
    expect(scope.messages).toEqual([]);
    const instances = await getJson("/debug/instancesz");
    expect(
      instances["productpage-v1.bookinfo"].map((one: { Port: { TargetPort: number } }) => one.Port.TargetPort),
    ).toContain(9301);
  });
});

describe("pages about the mesh", () => {
  it("show what is kept and what was found", async () => {
    expect(await getJson("/debug/cachez")).toEqual({ "type.googleapis.com/a.B": ["one"] });
    expect(await getJson("/debug/cachez?sizes=true")).toEqual({ "type.googleapis.com/a.B": "1.5kB", total: "1.5kB" });
    expect((await get("/debug/cachez?clear=true")).body).toBe("Cache cleared\n");
    expect(await getJson("/debug/push_status")).toEqual({
      pilot_eds_no_instances: { "outbound|27017||mongodb.bookinfo.svc.cluster.local": {} },
    });
    expect(await getJson("/debug/mesh")).toMatchObject({ rootNamespace: "istio-system" });
    expect(await getJson("/debug/networkz")).toEqual([]);
    expect((await get("/debug/clusterz")).status).toBe(400);
  });
});
