import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { unpackAs } from "@meltemi/protos";
import { describe, expect, it } from "vitest";
import { readBootstrap } from "./read-bootstrap.ts";

const goldens = fileURLToPath(new URL("../../../../test/envoy/agent-bootstrap/", import.meta.url));

const classic = readFileSync(new URL("../../../../test/companion/google-com-proxy.yaml", import.meta.url), "utf8");

describe("readBootstrap", () => {
  it("takes the classic one as it is", () => {
    const { bootstrap, notes } = readBootstrap(classic);
    const [cluster] = bootstrap.static_resources?.clusters ?? [];
    const tls = unpackAs(
      "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
      cluster?.transport_socket?.typed_config ?? {},
    );
    expect([cluster?.name, tls?.sni, notes]).toEqual(["service_google", "www.google.com", []]);
  });

  it.each(readdirSync(goldens).filter((name) => name.endsWith(".golden.txt")))("takes the agent's %s", (name) => {
    const { bootstrap, notes } = readBootstrap(readFileSync(`${goldens}${name}`, "utf8"));
    expect(bootstrap.dynamic_resources?.ads_config?.grpc_services?.[0]?.envoy_grpc?.cluster_name).toBe("xds-grpc");
    expect(notes.map(({ field }) => field)).toContain("overload_manager");
  });

  it.each([
    ["", "is no object"],
    ["[1]", "is no object"],
    ["a: [", "neither JSON nor YAML: "],
    ['{"nodes": {}}', "nodes: no such field"],
    ['{"node": {"id": 3}}', "node.id: "],
    [
      '{"static_resources": {"clusters": [{"name": "a"}, {"lb_policy": "BEST"}]}}',
      "static_resources.clusters[1].lb_policy: ",
    ],
    ['{"default_config_source": {"ads": {}}}', "default_config_source: is not supported"],
    ['{"header_prefix": "x-mine"}', "header_prefix: only x-envoy is supported"],
    ['{"dynamic_resources": {"lds_resources_locator": "xdstp://a"}}', "dynamic_resources.lds_resources_locator: "],
    [
      '{"bootstrap_extensions": [{"name": "wasm", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.wasm.v3.WasmService"}}]}',
      "bootstrap_extensions[0]: the extension wasm is not supported",
    ],
  ])("refuses %s", (text, problem) => {
    expect(() => readBootstrap(text)).toThrow(problem);
  });

  it("leaves out what touches no answer, also where nobody knows the extension", () => {
    const { bootstrap, notes } = readBootstrap({
      enableDispatcherStats: true,
      stats_sinks: [{ name: "mine", typed_config: { "@type": "type.googleapis.com/no.such.Sink", path: "/" } }],
    });
    expect(notes.map(({ field }) => field)).toEqual(["enable_dispatcher_stats", "stats_sinks"]);
    expect(bootstrap).toEqual({ enable_dispatcher_stats: true });
  });
});
