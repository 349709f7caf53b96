/** Listeners and secrets as resources. */
import { encode, fromJson } from "@meltemi/protos";
import type { IssuedCertificate } from "../../support/test-authority.ts";
import type { Ports } from "./wire-clusters.ts";
import { describeDenial, describeFault, describeTable, describeTarget, faultType } from "./wire-routes.ts";
import type { ChainSpec, HttpChain, ListenerSpec, TcpChain } from "./world.ts";

const managerType =
  "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const typeOf = (name: string): string => `type.googleapis.com/envoy.extensions.${name}`;

export function buildListener(spec: ListenerSpec, ports: Ports): Uint8Array {
  const needsName = spec.chains.some((chain) => chain.kind === "http" && chain.sni !== undefined);
  const json = {
    name: spec.slot,
    address: { socket_address: { address: "127.0.0.1", port_value: ports.get(spec.slot) } },
    per_connection_buffer_limit_bytes: spec.bufferLimit,
    ...(needsName ? { listener_filters: [describeInspector()] } : {}),
    filter_chains: spec.chains.map(describeChain),
  };
  return encode("envoy.config.listener.v3.Listener", fromJson("envoy.config.listener.v3.Listener", json));
}

export function buildSecret(name: string, { certificatePem, privateKeyPem }: IssuedCertificate): Uint8Array {
  const type = "envoy.extensions.transport_sockets.tls.v3.Secret";
  const tls_certificate = {
    certificate_chain: { inline_string: certificatePem },
    private_key: { inline_string: privateKeyPem },
  };
  return encode(type, fromJson(type, { name, tls_certificate }));
}

function describeInspector(): object {
  const type = typeOf("filters.listener.tls_inspector.v3.TlsInspector");
  return { name: "envoy.filters.listener.tls_inspector", typed_config: { "@type": type } };
}

function describeChain(chain: ChainSpec): object {
  return chain.kind === "tcp" ? describeTcp(chain) : describeHttp(chain);
}

function describeTcp({ label, target }: TcpChain): object {
  const config = { "@type": typeOf("filters.network.tcp_proxy.v3.TcpProxy"), stat_prefix: label };
  return {
    name: label,
    filters: [{ name: "envoy.filters.network.tcp_proxy", typed_config: { ...config, ...describeTarget(target) } }],
  };
}

function describeHttp(chain: HttpChain): object {
  const { sni, secret, serverName, routes } = chain;
  const manager = {
    "@type": managerType,
    stat_prefix: "model",
    server_name: serverName,
    upgrade_configs: [{ upgrade_type: "websocket" }],
    ...(routes.kind === "rds"
      ? { rds: { route_config_name: routes.table, config_source: { ads: {}, resource_api_version: "V3" } } }
      : { route_config: describeTable(routes.table) }),
    http_filters: [...chain.filters.map((filter) => describeFilter(filter, chain)), describeRouter()],
  };
  return {
    name: serverName,
    ...(sni === undefined ? {} : { filter_chain_match: { server_names: [sni] } }),
    filters: [{ name: "envoy.filters.network.http_connection_manager", typed_config: manager }],
    ...(secret === undefined ? {} : { transport_socket: describeTls(secret) }),
  };
}

function describeFilter(filter: HttpChain["filters"][number], { denies, fault }: HttpChain): object {
  if (filter === "fault") {
    const config = { "@type": faultType, ...(fault === undefined ? {} : describeFault(fault)) };
    return { name: "envoy.filters.http.fault", typed_config: config };
  }
  const config = {
    "@type": typeOf("filters.http.rbac.v3.RBAC"),
    ...(denies === undefined ? {} : describeDenial(denies)),
  };
  return { name: "envoy.filters.http.rbac", typed_config: config };
}

function describeRouter(): object {
  return { name: "envoy.filters.http.router", typed_config: { "@type": typeOf("filters.http.router.v3.Router") } };
}

function describeTls(secret: string): object {
  const config = { name: secret, sds_config: { ads: {}, resource_api_version: "V3" } };
  return {
    name: "envoy.transport_sockets.tls",
    typed_config: {
      "@type": typeOf("transport_sockets.tls.v3.DownstreamTlsContext"),
      common_tls_context: { alpn_protocols: ["h2", "http/1.1"], tls_certificate_sds_secret_configs: [config] },
    },
  };
}
