import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { findFamilies, findLocalAddresses, listAddresses } from "./addresses.ts";
import { parsePodInfo } from "./pod-info.ts";
import { ConfigError, type ProxyConfigSources, resolveProxyConfig } from "./proxy-config.ts";
import { readVariables, variableTable } from "./variables.ts";

const sources: ProxyConfigSources = {
  environment: "",
  annotations: {},
  concurrency: 0,
  serviceCluster: "istio-proxy",
  cpuLimit: 0,
};

describe("the ProxyConfig", () => {
  it("has Istio's defaults", () => {
    expect(resolveProxyConfig(sources)).toMatchObject({
      configPath: "./etc/istio/proxy",
      discoveryAddress: "istiod.istio-system.svc:15012",
      statusPort: 15020,
      proxyAdminPort: 15000,
      concurrency: 0,
      drainDurationMs: 45_000,
      terminationDrainDurationMs: 5_000,
      hasMutualTls: true,
    });
  });

  it("is laid over by the mesh's file, PROXY_CONFIG and the pod's annotation, in that order, field by field", () => {
    const config = resolveProxyConfig({
      ...sources,
      meshConfig:
        "defaultConfig: {discoveryAddress: 'mesh:1', drain_duration: 10s, proxyMetadata: {A: mesh, B: mesh}, extraStatTags: [a]}",
      environment: '{"discoveryAddress":"environment:1","proxyMetadata":{"B":"environment"},"extraStatTags":["b"]}',
      annotations: { "proxy.istio.io/config": "discoveryAddress: annotation:1\nproxyMetadata: {C: 3}" },
    });
    expect(config.discoveryAddress).toBe("annotation:1");
    expect(config.drainDurationMs).toBe(10_000);
    expect(config.proxyMetadata).toEqual({ A: "mesh", B: "environment", C: "3" });
    expect(config.fields["extraStatTags"]).toEqual(["b"]);
  });

  it("takes two settings from annotations of their own", () => {
    const annotations = { "sidecar.istio.io/discoveryAddress": "own:1", "status.sidecar.istio.io/port": "16020" };
    expect(resolveProxyConfig({ ...sources, annotations })).toMatchObject({
      discoveryAddress: "own:1",
      statusPort: 16020,
    });
  });

  it.each([
    ["the command line", { concurrency: 3, cpuLimit: 8, environment: "concurrency: 5" }, 3],
    ["the configuration", { cpuLimit: 8, environment: "concurrency: 5" }, 5],
    ["the configuration's 0, which is Envoy's choice", { cpuLimit: 8, environment: "concurrency: 0" }, 0],
    ["the container's CPUs", { cpuLimit: 1.5 }, 2],
    ["nothing", {}, 0],
  ])("has as many threads as %s says", (_what, given, expected) => {
    expect(resolveProxyConfig({ ...sources, ...given }).concurrency).toBe(expected);
  });

  it.each([
    ["drainDuration: soon", "drainDuration must be a duration"],
    ["statusPort: 70000", "statusPort must be a port"],
    ["concurrency: -1", "concurrency must be a whole number"],
    ["discoveryAddress: ''", "discoveryAddress must be a text that is not empty"],
    ["- a list", "PROXY_CONFIG is no object"],
    ["{", "PROXY_CONFIG is neither YAML nor JSON"],
  ])("refuses %s", (environment, message) => {
    expect(() => resolveProxyConfig({ ...sources, environment })).toThrow(ConfigError);
    expect(() => resolveProxyConfig({ ...sources, environment })).toThrow(message);
  });
});

describe("variables", () => {
  it("have their defaults, and keep them where what is given cannot be understood", () => {
    const { variables, invalid } = readVariables({
      ECC_SIGNATURE_ALGORITHM: "ECDSA",
      SECRET_TTL: "1h30m",
      PKCS8_KEY: "T",
      ENVOY_STATUS_PORT: "many",
      MINIMUM_DRAIN_DURATION: "",
      EXIT_ON_ZERO_ACTIVE_CONNECTIONS: "yes",
    });
    expect(variables).toMatchObject({
      eccAlgorithm: "ECDSA",
      secretTtlMs: 5_400_000,
      pkcs8Keys: true,
      envoyStatusPort: 15021,
      minimumDrainMs: 5_000,
      exitOnZeroConnections: false,
    });
    expect(invalid).toEqual(["ENVOY_STATUS_PORT", "EXIT_ON_ZERO_ACTIVE_CONNECTIONS"]);
  });

  it("are all in the docs, and nothing else is", () => {
    const page = readFileSync(new URL("../../../../docs/agent.md", import.meta.url), "utf8");
    const documented = [...page.matchAll(/^\| `([A-Z][A-Z0-9_]+)` \|/gm)].map(([, name]) => name);
    expect(documented).toEqual(
      Object.values(variableTable)
        .map(({ name }) => name)
        .sort(),
    );
  });

  it("have names of their own", () => {
    const names = Object.values(variableTable).map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
  });
});

describe("what the kubelet writes", () => {
  it.each([
    ['a="b"', { a: "b" }],
    ['a="with=sign and \\"quotes\\""', { a: 'with=sign and "quotes"' }],
    ['a="\\n\\t\\\\ \\x41 \\u00e9 \\U0001f600 \\101"', { a: "\n\t\\ A é 😀 A" }],
    ['a="1"\n\nnonsense\nb="2"', { a: "1", b: "2" }],
    ["", {}],
  ])("%s", (text, expected) => {
    expect(parsePodInfo(text)).toEqual(expected);
  });
});

describe("addresses", () => {
  const info = (address: string, internal = false) => ({ address, internal }) as never;
  const interfaces = {
    lo: [info("127.0.0.1", true), info("::1", true)],
    eth0: [info("10.1.0.7"), info("fe80::7"), info("fd00::7")],
    net1: [info("192.168.9.9"), info("169.254.1.1")],
  };

  it.each([
    ["10.1.0.7", [], ["10.1.0.7", "fd00::7", "192.168.9.9"]],
    ["fd00::7", [], ["fd00::7", "10.1.0.7", "192.168.9.9"]],
    ["", ["net1", "none"], ["10.1.0.7", "fd00::7"]],
    ["nonsense", ["net1"], ["10.1.0.7", "fd00::7"]],
  ])("of a pod whose INSTANCE_IP is %s without %s", (instanceIp, excluded, expected) => {
    expect(listAddresses({ interfaces, instanceIp, excluded })).toEqual(expected);
  });

  it("are loopback's where there is none", () => {
    expect(listAddresses({ interfaces: { lo: interfaces.lo }, instanceIp: "", excluded: [] })).toEqual([
      "127.0.0.1",
      "::1",
    ]);
  });

  it.each([
    [["10.1.0.7"], true, "127.0.0.1", undefined, "V4_ONLY"],
    [["fd00::7"], false, "::1", undefined, "V6_ONLY"],
    [["fd00::7", "10.1.0.7"], false, "127.0.0.1", undefined, "V4_ONLY"],
    [["fd00::7", "10.1.0.7"], true, "::1", "127.0.0.1", "ALL"],
    [["10.1.0.7", "fd00::7"], true, "127.0.0.1", "::1", "ALL"],
  ])("%s, dual stack %s: here is %s", (addresses, isDualStack, localhost, other, dnsLookupFamily) => {
    const found = findLocalAddresses({ addresses, isDualStack });
    expect(found).toMatchObject({ localhost, dnsLookupFamily });
    expect(found.otherFamily?.localhost).toBe(other);
    expect(findFamilies(addresses) === "both").toBe(addresses.length === 2);
  });
});
