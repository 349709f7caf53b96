import { encode, fromJson, toJson } from "@meltemi/protos";
import { expect, it } from "vitest";
import { type BootstrapOptions, buildEnvoyBootstrap } from "./envoy-bootstrap.ts";

const options: BootstrapOptions = {
  name: "reviews-v1",
  namespace: "bookinfo",
  type: "sidecar",
  ip: "127.0.0.1",
  domain: "cluster.local",
  clusterId: "Kubernetes",
  labels: { app: "reviews", version: "v1" },
  serviceAccount: "bookinfo-reviews",
  interceptionMode: "NONE",
  discovery: { host: "127.0.0.1", port: 15010 },
  delta: false,
  adminPort: 15000,
};

// fromJson refuses fields that Envoy does not have.
const parse = (given: BootstrapOptions) =>
  fromJson("envoy.config.bootstrap.v3.Bootstrap", JSON.parse(JSON.stringify(buildEnvoyBootstrap(given))));

it("is a bootstrap that Envoy's API can hold", () => {
  expect(
    encode("envoy.config.bootstrap.v3.Bootstrap", parse({ ...options, locality: "r/z/s" })).length,
  ).toBeGreaterThan(100);
});

it("names the workload as istiod reads it", () => {
  const { node } = parse({ ...options, httpProxyPort: 15002 });
  expect(node?.id).toBe("sidecar~127.0.0.1~reviews-v1.bookinfo~bookinfo.svc.cluster.local");
  expect(node?.cluster).toBe("reviews.bookinfo");
  expect(toJson("google.protobuf.Struct", node?.metadata ?? {})).toEqual({
    NAMESPACE: "bookinfo",
    CLUSTER_ID: "Kubernetes",
    LABELS: { app: "reviews", version: "v1" },
    SERVICE_ACCOUNT: "bookinfo-reviews",
    INSTANCE_IPS: "127.0.0.1",
    INTERCEPTION_MODE: "NONE",
    HTTP_PROXY_PORT: "15002",
  });
});

it("asks for incremental xDS where it is told to", () => {
  expect(parse(options).dynamic_resources?.ads_config?.api_type).toBe("GRPC");
  expect(parse({ ...options, delta: true }).dynamic_resources?.ads_config?.api_type).toBe("DELTA_GRPC");
});

it("connects over TLS with the files of a directory, which it reads again when they are replaced", () => {
  const tls = { directory: "/certs", serverName: "localhost" };
  const parsed = parse({ ...options, tls });
  const cluster = parsed.static_resources?.clusters?.find(({ name }) => name === "xds-grpc");
  const secretIn = (name: string) => ({
    name,
    sds_config: {
      path_config_source: { path: `/certs/${name}.json`, watched_directory: { path: "/certs" } },
      resource_api_version: "V3",
    },
  });
  expect(toJson("envoy.config.core.v3.TransportSocket", cluster?.transport_socket ?? {})).toMatchObject({
    name: "envoy.transport_sockets.tls",
    typed_config: {
      sni: "localhost",
      common_tls_context: {
        tls_certificate_sds_secret_configs: [secretIn("certificate")],
        combined_validation_context: {
          default_validation_context: {
            match_typed_subject_alt_names: [{ san_type: "DNS", matcher: { exact: "localhost" } }],
          },
          validation_context_sds_secret_config: secretIn("roots"),
        },
      },
    },
  });
  expect(parse(options).static_resources?.clusters?.every((each) => each.transport_socket === undefined)).toBe(true);
});
