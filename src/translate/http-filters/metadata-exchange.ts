/**
 * Exchange of workload metadata in headers, by which the metrics of both sides know each other (Istio:
 * pilot/pkg/xds/filters, SidecarInboundMetadataFilter and its siblings). Sent as a TypedStruct, because that is how
 * proxies of every version understand the configuration.
 */
import { type Json, packAny, struct } from "@meltemi/protos";
import type { HttpFilter } from "@meltemi/protos/envoy/extensions/filters/network/http_connection_manager/v3";
import { supports } from "../network-filters/filter-facts.ts";
import type { HttpFilterStage } from "./http-filter-context.ts";

const discovery: Json = [{ istio_headers: {} }, { workload_discovery: {} }];

const inboundFilter = buildFilter({
  downstream_discovery: discovery,
  downstream_propagation: [{ istio_headers: {} }],
});

const outboundFilter = buildFilter({
  upstream_discovery: discovery,
  upstream_propagation: [{ istio_headers: {} }],
});

const meshOnlyOutboundFilter = buildFilter({
  upstream_discovery: discovery,
  upstream_propagation: [{ istio_headers: { skip_external_clusters: true } }],
});

export const metadataExchange: HttpFilterStage = ({ facts, listenerClass, headers }) => {
  if (!supports(facts, "istio.metadata_exchange")) return [];
  if (listenerClass === "sidecarInbound") return [inboundFilter];
  return [headers.meshOnlyMetadataHeaders ? meshOnlyOutboundFilter : outboundFilter];
};

function buildFilter(config: { readonly [field: string]: Json }): HttpFilter {
  return {
    name: "istio.metadata_exchange",
    typed_config: packAny("udpa.type.v1.TypedStruct", {
      type_url: "type.googleapis.com/io.istio.http.peer_metadata.Config",
      value: struct(config),
    }),
  };
}
