import type { SniCluster } from "@meltemi/protos/envoy/extensions/filters/network/sni_cluster/v3";
import { clusterState } from "./tcp-proxy/plan.ts";
import type { NetworkFilterFactory } from "./types.ts";

/** The server name that the client asks for is the name of the cluster. */
export const sniClusterFactory: NetworkFilterFactory<SniCluster> = {
  name: "envoy.filters.network.sni_cluster",
  type: "envoy.extensions.filters.network.sni_cluster.v3.SniCluster",
  compile: () => ({
    admit({ sni, filterState }) {
      if (sni !== "") filterState.set(clusterState, { text: sni });
      return true;
    },
  }),
};
