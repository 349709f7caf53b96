/**
 * A client that shares no code with the server: gRPC's own proto-loader over Envoy's definitions decodes what the server
 * encodes. What our codec gets wrong in both directions alike would show here.
 */
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import {
  type ClientDuplexStream,
  credentials,
  loadPackageDefinition,
  type ServiceClientConstructor,
} from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { expect, it, onTestFinished } from "vitest";
import { startMesh } from "../support/mesh.ts";
import { shopMesh, shopNode } from "../support/shop-mesh.ts";

const definitions = fileURLToPath(new URL("../../node_modules/@grpc/grpc-js-xds/deps/", import.meta.url));
const prefix = "type.googleapis.com/envoy.config";

interface Response {
  readonly version_info: string;
  readonly nonce: string;
  readonly type_url: string;
  readonly resources: readonly { readonly "@type": string; readonly [field: string]: unknown }[];
}

function loadDiscoveryService(): ServiceClientConstructor {
  const definition = loadSync(
    [
      "envoy/service/discovery/v3/ads.proto",
      "envoy/config/cluster/v3/cluster.proto",
      "envoy/config/listener/v3/listener.proto",
      "envoy/config/route/v3/route.proto",
      "envoy/config/endpoint/v3/endpoint.proto",
      "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.proto",
      "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.proto",
    ],
    {
      keepCase: true,
      longs: String,
      enums: String,
      json: true,
      includeDirs: ["envoy-api", "xds", "googleapis", "protoc-gen-validate"].map((folder) => `${definitions}${folder}`),
    },
  );
  const root = loadPackageDefinition(definition) as unknown as {
    readonly envoy: {
      readonly service: { readonly discovery: { readonly v3: Record<string, ServiceClientConstructor> } };
    };
  };
  const service = root.envoy.service.discovery.v3["AggregatedDiscoveryService"];
  if (service === undefined) throw new Error("the definitions have no AggregatedDiscoveryService");
  return service;
}

it("gives a client of other making clusters, endpoints, listeners and routes that it can read", async () => {
  const { controlPlane } = await startMesh(shopMesh);
  const DiscoveryClient = loadDiscoveryService();
  const client = new DiscoveryClient(controlPlane.grpcAddress, credentials.createInsecure());
  const open = client["StreamAggregatedResources"] as () => ClientDuplexStream<object, Response>;
  const stream = open.call(client);
  onTestFinished(() => {
    // Ending by our own wish is no failure.
    stream.on("error", () => undefined);
    stream.cancel();
    client.close();
  });
  const { id } = shopNode("web", "10.0.0.11");
  const ask = async (type: string, names: readonly string[] = []): Promise<Response> => {
    const answered = once(stream, "data");
    stream.write({ node: { id }, type_url: `${prefix}.${type}`, resource_names: names });
    const [response] = (await answered) as [Response];
    expect(response.type_url).toBe(`${prefix}.${type}`);
    // The loader expands an Any only where it knows the type and could decode it.
    expect(response.resources.map((resource) => resource["@type"])).toEqual(
      response.resources.map(() => `${prefix}.${type}`),
    );
    return response;
  };
  const clusters = await ask("cluster.v3.Cluster");
  const eds = clusters.resources.filter(({ type }) => type === "EDS").map(({ name }) => String(name));
  expect(eds.length).toBeGreaterThan(1);
  const endpoints = await ask("endpoint.v3.ClusterLoadAssignment", eds);
  expect(endpoints.resources.map(({ cluster_name }) => cluster_name).sort()).toEqual([...eds].sort());
  const listeners = await ask("listener.v3.Listener");
  expect(listeners.resources.map(({ name }) => name)).toContain("virtualOutbound");
  const routes = await ask("route.v3.RouteConfiguration", ["80"]);
  expect(JSON.stringify(routes.resources)).toContain("outbound|80||web.shop.svc.cluster.local");
});
