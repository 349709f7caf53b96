import { encode, packAny, typeUrl } from "@meltemi/protos";
import { afterEach, describe, expect, it } from "vitest";
import { systemClock } from "../lib/clock.ts";
import { createStatsRegistry } from "../lib/create-stats.ts";
import { silentLog } from "../lib/log.ts";
import { createSecrets } from "../tls/secrets.ts";
import { ConfigSources, fetchTimeoutOf, keyOfSource } from "./config-sources.ts";
import { resourceTypes } from "./resource-types.ts";
import { createTestClusters } from "./test-clusters.ts";
import { startTestControlPlane } from "./test-control-plane.ts";

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const secretType = "envoy.extensions.transport_sockets.tls.v3.Secret";

describe("ConfigSources", () => {
  it.each([
    ["GRPC", resourceTypes.sds.sotwMethod],
    ["DELTA_GRPC", resourceTypes.sds.deltaMethod],
  ] as const)("opens a stream of its own for each secret, by %s", async (apiType, method) => {
    const server = await startTestControlPlane([method]);
    closers.push(server.stop);
    const clusters = await createTestClusters(server.port);
    closers.push(() => clusters.close());
    const [clock, log, stats] = [systemClock, silentLog, createStatsRegistry()];
    const sources = new ConfigSources({
      ...{ clusters, clock, log, stats, node: { id: "me" }, adsConfig: undefined, random: () => 0 },
      whenUsable: () => Promise.resolve(),
    });
    closers.push(() => sources.close());
    const secrets = createSecrets({ ...{ sources, clock, log, stats }, secrets: [], hash: () => 7 });
    closers.push(() => secrets.close());
    const slot = secrets.open({
      name: "default",
      sds_config: {
        initial_fetch_timeout: {},
        api_config_source: { api_type: apiType, grpc_services: [{ envoy_grpc: { cluster_name: "xds" } }] },
      },
    });
    const stream = await server.stream();
    const first = await stream.next();
    expect([first.type_url, first.node?.id]).toEqual([typeUrl(secretType), "me"]);
    expect(first.resource_names ?? first.resource_names_subscribe).toEqual(["default"]);
    const resource = packAny(secretType, { name: "default", generic_secret: { secret: { inline_string: "word" } } });
    const head = { type_url: typeUrl(secretType), nonce: "n" };
    stream.send(
      apiType === "GRPC"
        ? encode("envoy.service.discovery.v3.DiscoveryResponse", { ...head, version_info: "1", resources: [resource] })
        : encode("envoy.service.discovery.v3.DeltaDiscoveryResponse", {
            ...head,
            resources: [{ name: "default", version: "1", resource }],
          }),
    );
    await slot.ready;
    expect(slot.current?.generic_secret?.secret?.inline_string).toBe("word");
    expect((await stream.next()).response_nonce).toBe("n");
    expect(stats.counters().get("sds.default.update_success")).toBe(1);
  });

  it.each([
    [undefined, 15_000],
    [{ initial_fetch_timeout: { seconds: 2, nanos: 500_000_000 } }, 2500],
    [{ initial_fetch_timeout: {} }, undefined],
  ])("waits as %j says", (source, expected) => {
    expect(fetchTimeoutOf(source)).toBe(expected);
  });

  it("has one key for sources that can share a subscription", () => {
    const grpc = { api_config_source: { grpc_services: [{ envoy_grpc: { cluster_name: "a" } }] } };
    const file = { path_config_source: { path: "/a" } };
    expect(keyOfSource({ ads: {} }, "a")).toBe(keyOfSource(undefined, "b"));
    expect(keyOfSource({ self: {} }, "a")).toBe(keyOfSource({ ads: {} }, "a"));
    expect(keyOfSource(file, "a")).toBe(keyOfSource({ path: "/a" }, "b"));
    expect(keyOfSource(grpc, "a")).not.toBe(keyOfSource(grpc, "b"));
  });
});
