import { packAny, unpackAny } from "@meltemi/protos";
import type { HttpConnectionManager } from "@meltemi/protos/envoy/extensions/filters/network/http_connection_manager/v3";
import { describe, expect, it } from "vitest";
import { defaultMeshConfig } from "../../api/mesh-config/defaults.ts";
import type { MeshConfig } from "../../api/mesh-config/schema.ts";
import type { Protocol } from "../../lib/protocol.ts";
import { defaultFeatures } from "../../model/features.ts";
import type { FilterFacts, ListenerClass } from "./filter-facts.ts";
import { buildHttpConnectionManager, buildStatPrefix } from "./http-connection-manager.ts";

interface Given {
  readonly mesh?: Partial<MeshConfig>;
  readonly facts?: Partial<FilterFacts>;
  readonly listenerClass?: ListenerClass;
  readonly protocol?: Protocol;
  readonly fields?: HttpConnectionManager;
}

function build({
  mesh,
  facts,
  listenerClass = "sidecarOutbound",
  protocol = "HTTP",
  fields,
}: Given = {}): HttpConnectionManager {
  const manager = buildHttpConnectionManager({
    facts: {
      mesh: { ...defaultMeshConfig, ...mesh },
      features: defaultFeatures,
      lacking: [],
      idleTimeoutMs: undefined,
      exactBalance: { inbound: false, outbound: false },
      acceptHttp10: false,
      internalRanges: [],
      identity: { canonicalService: "", canonicalRevision: "", meshId: "", namespace: "shop", clusterId: "c1" },
      ...facts,
    },
    listenerClass,
    statPrefix: buildStatPrefix("outbound", "0.0.0.0_80"),
    routes: "80",
    protocol,
    ...(fields === undefined ? {} : { fields }),
  });
  // Encoding fails for a field that the type does not have.
  packAny("envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", manager);
  return manager;
}

const filterNames = (manager: HttpConnectionManager): readonly (string | undefined)[] =>
  (manager.http_filters ?? []).map(({ name }) => name);
const withProxyConfig = (config: MeshConfig["defaultConfig"]): Given => ({ mesh: { defaultConfig: config } });

describe("buildHttpConnectionManager", () => {
  it("asks for its routes over ADS and waits for them", () => {
    expect(build().rds).toEqual({
      config_source: { ads: {}, initial_fetch_timeout: {}, resource_api_version: "V3" },
      route_config_name: "80",
    });
    expect(build().stat_prefix).toBe("outbound_0.0.0.0_80;");
  });

  it.each<[string, Given, readonly string[]]>([
    ["outbound", {}, ["istio.metadata_exchange", "grpc_stats", "istio.alpn", "fault", "cors", "router"]],
    [
      "inbound",
      { listenerClass: "sidecarInbound" },
      ["istio.metadata_exchange", "grpc_stats", "fault", "cors", "router"],
    ],
    [
      "gRPC-Web",
      { protocol: "GRPC-Web" },
      ["istio.metadata_exchange", "grpc_web", "grpc_stats", "istio.alpn", "fault", "cors", "router"],
    ],
    [
      "a proxy without Istio's filters",
      { facts: { lacking: ["istio.metadata_exchange", "istio.alpn"] } },
      ["grpc_stats", "fault", "cors", "router"],
    ],
  ])("orders the filters: %s", (_, given, expected) => {
    expect(filterNames(build(given)).map((name) => name?.replace("envoy.filters.http.", ""))).toEqual(expected);
  });

  it.each<[NonNullable<NonNullable<MeshConfig["pathNormalization"]>["normalization"]>, object]>([
    ["NONE", { normalize_path: {}, path_with_escaped_slashes_action: "KEEP_UNCHANGED" }],
    ["BASE", { normalize_path: { value: true }, path_with_escaped_slashes_action: "KEEP_UNCHANGED" }],
    [
      "MERGE_SLASHES",
      { normalize_path: { value: true }, merge_slashes: true, path_with_escaped_slashes_action: "KEEP_UNCHANGED" },
    ],
    [
      "DECODE_AND_MERGE_SLASHES",
      {
        normalize_path: { value: true },
        merge_slashes: true,
        path_with_escaped_slashes_action: "UNESCAPE_AND_FORWARD",
      },
    ],
  ])("normalizes paths: %s", (normalization, expected) => {
    expect(build({ mesh: { pathNormalization: { normalization } } })).toMatchObject(expected);
  });

  it("passes on who the client is, only inbound", () => {
    expect(build().forward_client_cert_details).toBeUndefined();
    const inbound = build({ listenerClass: "sidecarInbound" });
    expect(inbound.forward_client_cert_details).toBe("APPEND_FORWARD");
    expect(inbound.set_current_client_cert_details).toEqual({ subject: { value: true }, dns: true, uri: true });
    expect([build().server_name, inbound.server_name]).toEqual([undefined, "istio-envoy"]);
  });

  it("honours the settings of headers", () => {
    const manager = build({
      ...withProxyConfig({
        proxyHeaders: {
          server: { disabled: true },
          requestId: { disabled: true },
          envoyDebugHeaders: { disabled: true },
          metadataExchangeHeaders: { mode: "IN_MESH" },
          preserveHttp1HeaderCase: true,
          forwardedClientCert: "SANITIZE",
          xForwardedPort: { enabled: true },
        },
      }),
    });
    expect(manager.server_header_transformation).toBe("PASS_THROUGH");
    expect(manager.generate_request_id).toEqual({});
    expect(manager.append_x_forwarded_port).toBe(true);
    expect(manager.http_protocol_options?.header_key_format?.stateful_formatter?.name).toContain("preserve_case");
    const [first] = manager.http_filters ?? [];
    const last = manager.http_filters?.at(-1)?.typed_config;
    expect(JSON.stringify(first?.typed_config === undefined ? {} : unpackAny(first.typed_config).message)).toContain(
      "skip_external_clusters",
    );
    expect(last === undefined ? {} : unpackAny(last).message).toEqual({ suppress_envoy_headers: true });
  });

  it("takes what the proxy asks for", () => {
    const manager = build({ facts: { acceptHttp10: true, idleTimeoutMs: 1500 } });
    expect(manager.http_protocol_options).toEqual({ accept_http_10: true });
    expect(manager.common_http_protocol_options?.idle_timeout).toEqual({ seconds: 1, nanos: 500_000_000 });
  });

  it("lets a listener's own fields come last", () => {
    expect(build({ fields: { proxy_100_continue: false } }).proxy_100_continue).toBe(false);
  });
});
