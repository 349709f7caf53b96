import { packAny } from "@meltemi/protos";
import { supports } from "../network-filters/filter-facts.ts";
import type { HttpFilterStage } from "./http-filter-context.ts";

/**
 * Offers the other side of a mutual TLS connection the protocol of the request it carries, so that it need not look into
 * the stream (Istio: pilot/pkg/xds/filters). The first names are only Istio's own sidecars', the last is the standard
 * one for servers that take mutual TLS without being of the mesh.
 */
const filter = {
  name: "istio.alpn",
  typed_config: packAny("istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig", {
    alpn_override: [
      { alpn_override: ["istio-http/1.0", "istio", "http/1.0"] },
      { upstream_protocol: "HTTP11", alpn_override: ["istio-http/1.1", "istio", "http/1.1"] },
      { upstream_protocol: "HTTP2", alpn_override: ["istio-h2", "istio", "h2"] },
    ],
  }),
} as const;

/** Clients only: the inbound side speaks plain text to the application. */
export const alpn: HttpFilterStage = ({ facts, listenerClass }) =>
  listenerClass === "sidecarInbound" || !supports(facts, "istio.alpn") ? [] : [filter];
