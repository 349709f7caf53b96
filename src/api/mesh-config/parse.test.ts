import { expect, test } from "vitest";
import { defaultMeshConfig } from "./defaults.ts";
import { parseMeshConfig } from "./parse.ts";

test("nothing gives Istio's defaults", () => {
  expect(parseMeshConfig("")).toEqual({ mesh: defaultMeshConfig, messages: [] });
  expect(parseMeshConfig(undefined).mesh).toEqual(defaultMeshConfig);
});

test("fields replace; defaultConfig merges by field, proxyMetadata and providers by name, aliases add up", () => {
  const first = parseMeshConfig(`
localityLbSetting: {failover: [{from: a, to: b}]}
defaultServiceExportTo: ["."]
trustDomainAliases: [x, y, x]
defaultConfig: {proxyMetadata: {A: "1", B: "1"}, concurrency: 4}
extensionProviders:
- name: envoy
  envoyFileAccessLog: {path: /tmp/log}
- name: otel
  opentelemetry: {service: otel.svc, port: 4317}
`).mesh;
  expect(first?.localityLbSetting).toEqual({ failover: [{ from: "a", to: "b" }] });
  expect(first?.defaultServiceExportTo).toEqual(["."]);
  expect(first?.trustDomainAliases).toEqual(["x", "y"]);
  expect(first?.extensionProviders.map(({ name }) => name)).toEqual(["prometheus", "stackdriver", "envoy", "otel"]);
  expect(first?.extensionProviders[2]).toEqual({ name: "envoy", envoyFileAccessLog: { path: "/tmp/log" } });
  const second = parseMeshConfig(
    { defaultConfig: { proxyMetadata: { B: "2" } } },
    first === undefined ? {} : { below: first },
  ).mesh;
  expect(second?.defaultConfig).toMatchObject({ proxyMetadata: { A: "1", B: "2" }, concurrency: 4, statusPort: 15020 });
});

test("what is given replaces what it excludes, and policies without a mode have protobuf's", () => {
  const mesh = parseMeshConfig(`
outboundTrafficPolicy: {}
trustDomainAliases: [b, a]
defaultProviders: {metrics: [prometheus]}
defaultConfig: {tracingServiceName: CANONICAL_NAME_ONLY, proxyHeaders: {server: {disabled: true}}}
`).mesh;
  expect(mesh?.outboundTrafficPolicy).toEqual({ mode: "REGISTRY_ONLY" });
  expect(mesh?.defaultConfig).not.toHaveProperty("serviceCluster");
  const above = {
    trustDomainAliases: ["c", "a"],
    defaultProviders: { tracing: ["x"] },
    defaultConfig: { proxyHeaders: { requestId: { disabled: true } } },
  };
  const second = parseMeshConfig(above, mesh === undefined ? {} : { below: mesh }).mesh;
  expect(second?.trustDomainAliases).toEqual(["a", "b", "c"]);
  expect(second?.defaultProviders).toEqual({ metrics: ["prometheus"], tracing: ["x"] });
  expect(second?.defaultConfig.proxyHeaders).toEqual({ server: { disabled: true }, requestId: { disabled: true } });
});

test("fields of other versions are a warning, wrong values and bad YAML errors without a result", () => {
  const warned = parseMeshConfig("enableTracking: true\n");
  expect(warned.mesh).toEqual(defaultMeshConfig);
  expect(warned.messages.map(({ level, text }) => [level, text])).toEqual([
    ["warning", 'unknown field "enableTracking", did you mean "enableTracing"?'],
  ]);
  for (const bad of [
    "accessLogEncoding: XML",
    "connectTimeout: soon",
    "a: [",
    "- a",
    "a: &x [*x]",
    "proxyListenPort: .nan",
  ]) {
    const { mesh, messages } = parseMeshConfig(bad);
    expect(mesh).toBeUndefined();
    expect(messages.some((message) => message.level === "error")).toBe(true);
  }
});
