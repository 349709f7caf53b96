import { packAny, struct } from "@meltemi/protos";
import type { Filter } from "@meltemi/protos/envoy/config/listener/v3";
import { type ProxyFacts, supports } from "./filter-facts.ts";

const filter: Filter = {
  name: "istio.metadata_exchange",
  typed_config: packAny("udpa.type.v1.TypedStruct", {
    type_url: "type.googleapis.com/envoy.tcp.metadataexchange.config.MetadataExchange",
    value: struct({ enable_discovery: true, protocol: "istio-peer-exchange" }),
  }),
};

/** Exchange of workload metadata at the start of a connection; on the outbound side the cluster has its counterpart. */
export function buildMetadataExchangeFilters(facts: ProxyFacts): readonly Filter[] {
  return supports(facts, "istio.metadata_exchange") ? [filter] : [];
}
