import { fromJson } from "@meltemi/protos";
import { createLayeredRuntime } from "../config/layered-runtime.ts";
import { systemClock } from "../lib/clock.ts";
import { createStatsRegistry } from "../lib/create-stats.ts";
import { silentLog } from "../lib/log.ts";
import { createClusterManager } from "../upstream/cluster-manager.ts";
import type { ClusterUpdates } from "../upstream/types.ts";

/** Real clusters, with one of them, "xds", over HTTP/2 to a loopback port. */
export async function createTestClusters(port: number): Promise<ClusterUpdates> {
  const clusters = createClusterManager({
    clock: systemClock,
    log: silentLog,
    stats: createStatsRegistry(),
    random: () => 0,
    node: {},
    runtime: createLayeredRuntime(undefined),
    secrets: {
      open() {
        throw new Error("there are no secrets");
      },
      list: () => [],
    },
  });
  const address = { socket_address: { address: "127.0.0.1", port_value: port } };
  const options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
  const wire = fromJson("envoy.config.cluster.v3.Cluster", {
    name: "xds",
    type: "STATIC",
    connect_timeout: "1s",
    load_assignment: { cluster_name: "xds", endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] },
    typed_extension_protocol_options: {
      [options]: {
        "@type": `type.googleapis.com/${options}`,
        explicit_http_config: { http2_protocol_options: {} },
      },
    },
  });
  await clusters.update(wire, { isStatic: true, version: "" });
  return clusters;
}
