/** Filter chains of gateways as wire objects. Istio: core/gateway.go createGatewayHTTPFilterChainOpts and its siblings. */
import { bool } from "@meltemi/protos";
import type { TransportSocket } from "@meltemi/protos/envoy/config/core/v3";
import type { Filter, FilterChain } from "@meltemi/protos/envoy/config/listener/v3";
import type { HttpConnectionManager } from "@meltemi/protos/envoy/extensions/filters/network/http_connection_manager/v3";
import type { DownstreamTlsContext } from "@meltemi/protos/envoy/extensions/transport_sockets/tls/v3";
import type { MeshConfig } from "../../api/mesh-config/schema.ts";
import { createSlotMemo } from "../../lib/slot-memo.ts";
import { withSources } from "../built.ts";
import { type ChainPlan, isMatchAll } from "../listeners/chain-plan.ts";
import { buildHandshakeTimeout } from "../listeners/listener-limits.ts";
import { buildMatch } from "../listeners/outbound-listener.ts";
import { type FilterFacts, formatFacts } from "../network-filters/filter-facts.ts";
import { buildHttpConnectionManagerFilter, buildStatPrefix } from "../network-filters/http-connection-manager.ts";
import { buildMetadataExchangeFilters } from "../network-filters/metadata-exchange.ts";
import { buildTcpFilters } from "../network-filters/tcp-proxy.ts";
import { buildDownstreamQuicSocket, buildDownstreamTlsSocket } from "../security/transport-socket.ts";

/** A chain as plain data: with the facts all that building it reads. */
export interface GatewayChainPlan extends ChainPlan {
  /** The object that has most to say about the chain; what is built is kept as long as it lives. Not read otherwise. */
  readonly owner: object;
  /** How the gateway ends TLS; undefined where it does not. */
  readonly tls?: DownstreamTlsContext;
  /** Prefix of HTTP statistics; the listener's name where not given. */
  readonly statPrefix?: string;
  /** True for HTTP/3, which has TLS built in. */
  readonly isQuic?: boolean;
  /** True where the clients are proxies of the mesh, which send their metadata first. */
  readonly exchangesMetadata?: boolean;
}

type Topology = NonNullable<MeshConfig["defaultConfig"]["gatewayTopology"]>;

const keptChains = createSlotMemo<FilterChain>();

/** The chain of a plan in the listener of that name; the same object for equal plans. */
export function buildGatewayChain(plan: GatewayChainPlan, listener: string, facts: FilterFacts): FilterChain {
  const { owner, ...data } = plan;
  const slot = `${listener}\n${formatFacts(facts)}\n${JSON.stringify(data)}`;
  return keptChains({ owner, slot }, [facts.mesh], () => {
    const chain: FilterChain = {
      ...(isMatchAll(plan) ? {} : { filter_chain_match: buildMatch(plan.match) }),
      filters: buildFilters(plan, listener, facts),
      ...(plan.tls === undefined ? {} : { transport_socket: buildSocket(plan.tls, plan.isQuic === true) }),
      ...buildHandshakeTimeout(facts),
    };
    return withSources(chain, plan.sources);
  });
}

function buildSocket(tls: DownstreamTlsContext, isQuic: boolean): TransportSocket {
  return isQuic ? buildDownstreamQuicSocket(tls) : buildDownstreamTlsSocket(tls);
}

const http3Fields: HttpConnectionManager = { codec_type: "HTTP3", http3_protocol_options: {} };

function buildFilters(plan: GatewayChainPlan, listener: string, facts: FilterFacts): readonly Filter[] {
  const { content } = plan;
  if (content.kind === "tcp") {
    const leading = plan.exchangesMetadata === true ? buildMetadataExchangeFilters(facts) : [];
    return buildTcpFilters({ facts, protocol: content.protocol, target: content.target, leading });
  }
  const manager = buildHttpConnectionManagerFilter({
    facts,
    listenerClass: "gateway",
    statPrefix: plan.statPrefix ?? buildStatPrefix("outbound", listener),
    routes: content.routeName,
    protocol: content.protocol,
    usesRemoteAddress: true,
    fields: { ...buildEdgeFields(facts.mesh), ...(plan.isQuic === true ? http3Fields : {}) },
  });
  return [manager];
}

/** What a proxy at the edge believes of those before it, by the mesh's gateway topology (Istio: C220). */
function buildEdgeFields(mesh: MeshConfig): HttpConnectionManager {
  const topology: Topology = mesh.defaultConfig.gatewayTopology ?? {};
  const hops = topology.numTrustedProxies ?? 0;
  const asked = topology.forwardClientCertDetails ?? "UNDEFINED";
  const details = asked === "UNDEFINED" ? "SANITIZE_SET" : asked;
  // Envoy knows what to set only where the header may be set at all.
  const setsDetails = details === "SANITIZE_SET" || details === "APPEND_FORWARD";
  return {
    // Always there, as Istio writes it, also where no option of HTTP/1 is set.
    http_protocol_options: {},
    ...(hops === 0 ? {} : { xff_num_trusted_hops: hops }),
    forward_client_cert_details: details,
    ...(setsDetails
      ? { set_current_client_cert_details: { subject: bool(true), cert: true, dns: true, uri: true } }
      : {}),
  };
}
