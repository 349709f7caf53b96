import { decode, encode } from "@meltemi/protos";
import type { LbEndpoint } from "@meltemi/protos/envoy/config/endpoint/v3";
import { expect, test } from "vitest";
import { encodeResource, encodeSpliced } from "./encode.ts";
import { resourceTypeOf } from "./resource-types.ts";

const assignmentType = "envoy.config.endpoint.v3.ClusterLoadAssignment";
const routesType = "envoy.config.route.v3.RouteConfiguration";

function buildEndpoint(index: number): LbEndpoint {
  const socketAddress = { address: `10.0.${index >> 8}.${index & 255}`, port_value: 8080 };
  return { endpoint: { address: { socket_address: socketAddress } }, load_balancing_weight: { value: index + 1 } };
}

function buildAssignment(endpoints: readonly LbEndpoint[]) {
  return {
    cluster_name: "outbound|80||a",
    endpoints: [
      {
        locality: { region: "r", zone: "z" },
        lb_endpoints: endpoints,
        load_balancing_weight: { value: 3 },
        priority: 1,
      },
      { lb_endpoints: endpoints.slice(0, 2), proximity: { value: 7 } },
    ],
    policy: { overprovisioning_factor: { value: 140 } },
  };
}

test("spliced load assignments are byte for byte the plain ones", () => {
  const message = buildAssignment(Array.from({ length: 300 }, (_, index) => buildEndpoint(index)));
  expect(Buffer.from(encodeSpliced(assignmentType, message))).toEqual(Buffer.from(encode(assignmentType, message)));
});

test("spliced route configurations are byte for byte the plain ones, whatever the order of members", () => {
  const message = {
    validate_clusters: { value: false },
    max_direct_response_body_size_bytes: { value: 1 },
    virtual_hosts: [
      { name: "a", domains: ["a"], routes: [{ match: { prefix: "/" }, route: { cluster: "c" } }] },
      { name: "b", domains: ["*"] },
    ],
    name: "80",
    response_headers_to_remove: ["x"],
  };
  const spliced = encodeSpliced(routesType, message);
  expect(Buffer.from(spliced)).toEqual(Buffer.from(encode(routesType, message)));
  expect(decode(routesType, spliced).virtual_hosts?.map(({ name }) => name)).toEqual(["a", "b"]);
});

test("messages without the spliced field are encoded as they are", () => {
  expect(encodeSpliced(assignmentType, {})).toEqual(new Uint8Array());
  expect(decode(assignmentType, encodeSpliced(assignmentType, { cluster_name: "a" }))).toEqual({ cluster_name: "a" });
});

test("one changed endpoint of a thousand is all that is encoded again", () => {
  let reads = 0;
  const endpoints = Array.from({ length: 1000 }, (_, index): LbEndpoint => {
    const { endpoint } = buildEndpoint(index);
    return {
      get endpoint() {
        reads += 1;
        return endpoint;
      },
    };
  });
  encodeSpliced(assignmentType, buildAssignment(endpoints));
  expect(reads).toBeGreaterThan(0);
  reads = 0;
  const changed = endpoints.with(500, buildEndpoint(5000));
  const spliced = encodeSpliced(assignmentType, buildAssignment(changed));
  expect(reads).toBe(0);
  expect(Buffer.from(spliced)).toEqual(Buffer.from(encode(assignmentType, buildAssignment(changed))));
});

test("the same message is encoded once, and equal messages have equal versions", () => {
  const type = resourceTypeOf("cds");
  const message = { name: "a", alt_stat_name: "x" };
  const [first, second] = [1, 2].map(() => encodeResource(type, { name: "a", message, sources: [] }));
  expect(second?.bytes).toBe(first?.bytes);
  const equal = encodeResource(type, { name: "a", message: { alt_stat_name: "x", name: "a" }, sources: [] });
  expect(equal.version).toBe(first?.version);
  expect(encodeResource(type, { name: "a", message: { name: "a" }, sources: [] }).version).not.toBe(first?.version);
});

test("frames hold the resource for each variant", () => {
  const built = { name: "a", message: { name: "a", alt_stat_name: "x" }, sources: [] };
  const resource = encodeResource(resourceTypeOf("cds"), built);
  const sotw = decode("envoy.service.discovery.v3.DiscoveryResponse", resource.sotwFrame);
  expect(sotw.resources?.map(({ type_url }) => type_url)).toEqual([resource.typeUrl]);
  const delta = decode("envoy.service.discovery.v3.DeltaDiscoveryResponse", resource.deltaFrame);
  expect(delta.resources?.[0]).toMatchObject({ name: "a", version: resource.version });
  const value = delta.resources?.[0]?.resource?.value ?? new Uint8Array();
  expect(decode("envoy.config.cluster.v3.Cluster", value)).toEqual(built.message);
});
