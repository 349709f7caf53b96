import { expect, test } from "vitest";
import { defaultMeshConfig } from "./defaults.ts";
import { parseMeshConfig } from "./parse.ts";

test("nothing gives Istio's defaults", () => {
  expect(parseMeshConfig("")).toEqual({ mesh: defaultMeshConfig, messages: [] });
  expect(parseMeshConfig(undefined).mesh).toEqual(defaultMeshConfig);
});

test("fields replace, nested messages and proxyMetadata merge, lists replace, providers merge by name", () => {
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
  expect(first?.localityLbSetting).toEqual({ enabled: true, failover: [{ from: "a", to: "b" }] });
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
