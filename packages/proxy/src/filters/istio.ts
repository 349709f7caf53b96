/** The filters that Istio has added to Envoy, as far as answers and requests depend on them. */
import type { Config as PeerMetadata } from "@meltemi/protos/io/istio/http/peer_metadata";
import type { FilterConfig as AlpnConfig } from "@meltemi/protos/istio/envoy/config/filter/http/alpn/v2alpha1";
import type { PluginConfig } from "@meltemi/protos/stats";
import type { HttpFilterFactory } from "../http/exchange.ts";
import type { HeaderList } from "../http/header-list.ts";
import { withAnswer } from "./answer.ts";
import { passOn } from "./pass-on.ts";

const peerHeaders = ["x-envoy-peer-metadata", "x-envoy-peer-metadata-id"] as const;

/**
 * Peers tell each other of their workloads in headers, for telemetry. A side that discovers by headers takes them out, so
 * that applications never see them; telling the other side of this one has no consequence but for telemetry.
 */
export const peerMetadataFactory: HttpFilterFactory<PeerMetadata> = {
  name: "istio.metadata_exchange",
  type: "io.istio.http.peer_metadata.Config",
  compile(config) {
    const removesFromRequests = (config.downstream_discovery ?? []).some((method) => method.istio_headers);
    const removesFromAnswers = (config.upstream_discovery ?? []).some((method) => method.istio_headers);
    if (!removesFromRequests && !removesFromAnswers) return passOn;
    return {
      handle(exchange, next) {
        if (removesFromRequests) removePeer(exchange.request.headers);
        if (!removesFromAnswers) return next(exchange);
        return withAnswer(exchange, next, ({ headers }) => removePeer(headers));
      },
    };
  },
};

function removePeer(headers: HeaderList): void {
  for (const name of peerHeaders) headers.remove(name);
}

/** Telemetry of the mesh: no answer depends on it. */
export const istioStatsFactory: HttpFilterFactory<PluginConfig> = {
  name: "istio.stats",
  type: "stats.PluginConfig",
  compile: () => passOn,
};

/** Protocols to offer to TLS upstreams, by what the client speaks: left in the filter state for the connection pools. */
export const alpnFactory: HttpFilterFactory<AlpnConfig> = {
  name: "istio.alpn",
  type: "istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig",
  compile({ alpn_override: overrides = [] }) {
    const byProtocol = new Map(
      overrides.map(({ upstream_protocol: protocol = "HTTP10", alpn_override: names = [] }) => [
        protocol,
        { text: names.join(","), value: names },
      ]),
    );
    if (byProtocol.size === 0) return passOn;
    const names = { "HTTP/1.0": "HTTP10", "HTTP/1.1": "HTTP11", "HTTP/2": "HTTP2" } as const;
    return {
      handle(exchange, next) {
        const override = byProtocol.get(names[exchange.request.protocol]);
        if (override) exchange.info.filterState.set("istio.alpn", override);
        return next(exchange);
      },
    };
  },
};
