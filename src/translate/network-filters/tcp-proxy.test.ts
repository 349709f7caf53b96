import { type TypeName, unpackAny } from "@meltemi/protos";
import type { Filter } from "@meltemi/protos/envoy/config/listener/v3";
import { describe, expect, it } from "vitest";
import { defaultMeshConfig } from "../../api/mesh-config/defaults.ts";
import { defaultFeatures } from "../../model/features.ts";
import type { ProxyFacts } from "./filter-facts.ts";
import { buildDroppingFilter, buildTcpFilters, plainTarget } from "./tcp-proxy.ts";

const facts: ProxyFacts = {
  mesh: defaultMeshConfig,
  features: defaultFeatures,
  lacking: [],
  idleTimeoutMs: undefined,
  exactBalance: { inbound: false, outbound: false },
};

function unpack(filter: Filter | undefined): { readonly typeName: TypeName; readonly message: object } {
  if (filter?.typed_config === undefined) throw new Error("no filter");
  return unpackAny(filter.typed_config);
}

describe("buildTcpFilters", () => {
  it("sends to one cluster", () => {
    const [proxy, ...more] = buildTcpFilters({ facts, protocol: "TCP", target: plainTarget("outbound|1||a") });
    expect(more).toEqual([]);
    expect(unpack(proxy).message).toEqual({ stat_prefix: "outbound|1||a", cluster: "outbound|1||a" });
  });

  it("weighs clusters, also where only one has a weight", () => {
    const target = { ...plainTarget(""), clusters: [{ name: "a", weight: 30 }], statPrefix: "rule.ns" };
    const [proxy] = buildTcpFilters({ facts, protocol: "TCP", target });
    expect(unpack(proxy).message).toEqual({
      stat_prefix: "rule.ns",
      weighted_clusters: { clusters: [{ name: "a", weight: 30 }] },
    });
  });

  it("takes the rule's settings before the proxy's", () => {
    const target = {
      ...plainTarget("a"),
      idleTimeout: "20s",
      maxConnectionDuration: "1m",
      hashesSourceIp: true,
      tunnel: { hostname: "b.example:443", usesPost: true },
    };
    const [proxy] = buildTcpFilters({ facts: { ...facts, idleTimeoutMs: 5000 }, protocol: "TCP", target });
    expect(unpack(proxy).message).toMatchObject({
      idle_timeout: { seconds: 20 },
      max_downstream_connection_duration: { seconds: 60 },
      hash_policy: [{ source_ip: {} }],
      tunneling_config: { hostname: "b.example:443", use_post: true },
    });
    const [plain] = buildTcpFilters({
      facts: { ...facts, idleTimeoutMs: 5000 },
      protocol: "TCP",
      target: plainTarget("a"),
    });
    expect(unpack(plain).message).toMatchObject({ idle_timeout: { seconds: 5 } });
  });

  it("understands MongoDB where the proxy does", () => {
    const target = plainTarget("a");
    const names = (lacking: readonly string[]) =>
      buildTcpFilters({ facts: { ...facts, lacking }, protocol: "Mongo", target }).map(({ name }) => name);
    expect(names([])).toEqual(["envoy.filters.network.mongo_proxy", "envoy.filters.network.tcp_proxy"]);
    expect(names(["envoy.filters.network.mongo_proxy"])).toEqual(["envoy.filters.network.tcp_proxy"]);
  });

  it("logs connections but not those that are dropped", () => {
    const logging = { ...facts, mesh: { ...defaultMeshConfig, accessLogFile: "/dev/stdout" } };
    expect(
      unpack(buildTcpFilters({ facts: logging, protocol: "TCP", target: plainTarget("a") })[0]).message,
    ).toHaveProperty("access_log");
    expect(unpack(buildDroppingFilter("BlackHoleCluster")).message).toEqual({
      stat_prefix: "BlackHoleCluster",
      cluster: "BlackHoleCluster",
    });
  });
});
