import { Client, credentials } from "@grpc/grpc-js";
import { decode, encode, type TypeName, unpackAny } from "@meltemi/protos";
import type { Node } from "@meltemi/protos/envoy/config/core/v3";
import type { DiscoveryResponse } from "@meltemi/protos/envoy/service/discovery/v3";

/** Everything a proxy holds once it has asked for all that its clusters and listeners refer to. */
export interface FetchedResources {
  readonly clusters: readonly Named[];
  readonly endpoints: readonly Named[];
  readonly listeners: readonly Named[];
  readonly routes: readonly Named[];
}

export interface Named {
  readonly typeName: TypeName;
  readonly message: { readonly [field: string]: unknown };
}

const cluster = "envoy.config.cluster.v3.Cluster";
const loadAssignment = "envoy.config.endpoint.v3.ClusterLoadAssignment";
const listener = "envoy.config.listener.v3.Listener";
const route = "envoy.config.route.v3.RouteConfiguration";

const responseLimitMs = 30_000;

/**
 * Connects over ADS (state of the world) as the given node and reads what it is given, in Envoy's own order: clusters,
 * their endpoints, listeners, their routes; each response is acknowledged. Fails after 30 s without an answer.
 */
export async function fetchResources(address: string, node: Node): Promise<FetchedResources> {
  const client = new Client(address, credentials.createInsecure(), { "grpc.max_receive_message_length": -1 });
  const stream = client.makeBidiStreamRequest<object, DiscoveryResponse>(
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources",
    (request) => Buffer.from(encode("envoy.service.discovery.v3.DiscoveryRequest", request)),
    (bytes) => decode("envoy.service.discovery.v3.DiscoveryResponse", bytes),
  );
  const responses: DiscoveryResponse[] = [];
  let wake = (): void => undefined;
  let failure: unknown;
  stream.on("data", (response: DiscoveryResponse) => {
    responses.push(response);
    wake();
  });
  stream.on("error", (cause: unknown) => {
    failure = cause;
    wake();
  });

  async function ask(typeName: TypeName, names: readonly string[]): Promise<readonly Named[]> {
    const type_url = `type.googleapis.com/${typeName}`;
    stream.write({ node, type_url, resource_names: names });
    const response = await nextOf(type_url);
    stream.write({
      type_url,
      resource_names: names,
      version_info: response.version_info,
      response_nonce: response.nonce,
    });
    return (response.resources ?? []).map((any) => unpack(typeName, any));
  }

  async function nextOf(typeUrl: string): Promise<DiscoveryResponse> {
    const until = Date.now() + responseLimitMs;
    for (;;) {
      const at = responses.findIndex((response) => response.type_url === typeUrl);
      const [found] = at < 0 ? [] : responses.splice(at, 1);
      if (found !== undefined) return found;
      if (failure !== undefined) throw failure;
      if (Date.now() > until) throw new Error(`no response of type ${typeUrl} within ${responseLimitMs / 1000} s`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 500);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  try {
    const clusters = await ask(cluster, []);
    const edsNames = clusters.filter(({ message }) => message["type"] === "EDS").map(edsNameOf);
    const endpoints = edsNames.length === 0 ? [] : await ask(loadAssignment, edsNames);
    const listeners = await ask(listener, []);
    const routeNames = [...new Set(listeners.flatMap(({ message }) => listRouteNames(message)))];
    const routes = routeNames.length === 0 ? [] : await ask(route, routeNames);
    return { clusters, endpoints, listeners, routes };
  } finally {
    stream.cancel();
    client.close();
  }
}

function unpack(typeName: TypeName, any: Parameters<typeof unpackAny>[0]): Named {
  return { typeName, message: unpackAny(any).message as Named["message"] };
}

function edsNameOf({ message }: Named): string {
  const config = message["eds_cluster_config"] as { readonly service_name?: string } | undefined;
  return config?.service_name ?? String(message["name"]);
}

/** Every `rds.route_config_name` in a listener, wherever its HTTP connection managers stand. */
function listRouteNames(value: unknown): readonly string[] {
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return [];
  if (Array.isArray(value)) return value.flatMap(listRouteNames);
  const fields = value as { readonly [key: string]: unknown };
  const typeUrl = fields["type_url"];
  if (typeof typeUrl === "string" && typeUrl.endsWith(".HttpConnectionManager"))
    return listRouteNames(unpackAny(fields).message);
  const rds = fields["rds"] as { readonly route_config_name?: string } | undefined;
  const own = rds?.route_config_name === undefined ? [] : [rds.route_config_name];
  return [...own, ...Object.values(fields).flatMap(listRouteNames)];
}
