import type { FilterConfig } from "@meltemi/protos/envoy/extensions/filters/network/sni_dynamic_forward_proxy/v3";
import type { NetworkFilterFactory } from "./types.ts";

const httpsPort = 443;

/**
 * Connections go where the client's server name says, through a cluster of the kind dynamic_forward_proxy. That cluster
 * looks the name up itself when it is asked for a host, with its own dns_cache_config.
 */
export const sniDynamicForwardProxyFactory: NetworkFilterFactory<FilterConfig> = {
  name: "envoy.filters.network.sni_dynamic_forward_proxy",
  type: "envoy.extensions.filters.network.sni_dynamic_forward_proxy.v3.FilterConfig",
  compile({ port_value: configured }) {
    const port = String(configured || httpsPort);
    return {
      admit({ sni, filterState }) {
        if (sni === "") return true;
        // What another filter has chosen stays.
        if (!filterState.has("envoy.upstream.dynamic_host")) {
          filterState.set("envoy.upstream.dynamic_host", { text: sni });
        }
        if (!filterState.has("envoy.upstream.dynamic_port")) {
          filterState.set("envoy.upstream.dynamic_port", { text: port, value: Number(port) });
        }
        return true;
      },
    };
  },
};
