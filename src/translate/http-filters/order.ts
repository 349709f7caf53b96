/**
 * The order of HTTP filters, as a list to read. Istio: networking/core/listener_builder.go, buildHTTPConnectionManager.
 */

import type { HttpFilter } from "@meltemi/protos/envoy/extensions/filters/network/http_connection_manager/v3";
import { alpn } from "./alpn.ts";
import { dynamicForward } from "./dynamic-forward.ts";
import { cors, fault, grpcStats, grpcWeb, router, statefulSession } from "./envoy-filters.ts";
import type { HttpFilterContext, HttpFilterStage } from "./http-filter-context.ts";
import { metadataExchange } from "./metadata-exchange.ts";

const httpFilterOrder: readonly HttpFilterStage[] = [
  // Before anything that may deny, so that metrics of denied requests know the peer.
  metadataExchange,
  // Translates the request before the filters that look at gRPC.
  grpcWeb,
  grpcStats,
  // After everything that may change the cluster's choice of protocol, before anything that goes upstream.
  alpn,
  // Settings of single routes take effect only where the filters stand in the chain.
  fault,
  cors,
  // Settings of services and routes name the sessions.
  statefulSession,
  // Last of all that may hold a request back: what is denied needs no address.
  dynamicForward,
  // Ends the chain: Envoy refuses anything behind it.
  router,
];

/** All HTTP filters of a connection manager, in order. */
export function buildHttpFilters(context: HttpFilterContext): readonly HttpFilter[] {
  return httpFilterOrder.flatMap((stage) => stage(context));
}
