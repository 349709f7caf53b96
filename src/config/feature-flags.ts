/** Variables of the environment that switch parts of the translation on or off (see model/features.ts). */
import { type AnyFlag, defineFlag } from "./flag.ts";

export const featureFlags = {
  dualStack: defineFlag({
    env: "ISTIO_DUAL_STACK",
    type: "boolean",
    default: "false",
    doc: "Listen on addresses of both IP families for proxies that have both.",
  }),
  ipv4OutboundListener: defineFlag({
    env: "ISTIO_ENABLE_IPV4_OUTBOUND_LISTENER_FOR_IPV6_CLUSTERS",
    type: "boolean",
    default: "false",
    doc: "Take outbound traffic over IPv4 as well on proxies that have IPv6 alone.",
  }),
  quicListeners: defineFlag({
    env: "PILOT_ENABLE_QUIC_LISTENERS",
    type: "boolean",
    default: "false",
    doc: "Serve HTTP/3 beside HTTPS on gateways whose Service has a UDP port of the same number.",
  }),
  persistentSessions: defineFlag({
    env: "PILOT_ENABLE_PERSISTENT_SESSION_FILTER",
    type: "boolean",
    default: "false",
    doc: "Keep sessions at one endpoint for services that a label asks it for.",
  }),
  persistentSessionLabel: defineFlag({
    env: "PILOT_PERSISTENT_SESSION_LABEL",
    type: "string",
    default: "istio.io/persistent-session",
    doc: "Label of a Service that keeps sessions by a cookie: its name, or name:path.",
  }),
  persistentSessionHeaderLabel: defineFlag({
    env: "PILOT_PERSISTENT_SESSION_HEADER_LABEL",
    type: "string",
    default: "istio.io/persistent-session-header",
    doc: "Label of a Service that keeps sessions by a header: its name.",
  }),
  mongoFilter: defineFlag({
    env: "PILOT_ENABLE_MONGO_FILTER",
    type: "boolean",
    default: "true",
    doc: "Count MongoDB's operations on ports of that protocol.",
  }),
  mysqlFilter: defineFlag({
    env: "PILOT_ENABLE_MYSQL_FILTER",
    type: "boolean",
    default: "false",
    doc: "Count MySQL's operations on ports of that protocol.",
  }),
  redisFilter: defineFlag({
    env: "PILOT_ENABLE_REDIS_FILTER",
    type: "boolean",
    default: "false",
    doc: "Route single commands on ports of the protocol Redis instead of connections.",
  }),
  http10: defineFlag({
    env: "PILOT_HTTP10",
    type: "boolean",
    default: "false",
    doc: "Accept HTTP/1.0 on every proxy.",
  }),
  sidecarUsesRemoteAddress: defineFlag({
    env: "PILOT_SIDECAR_USE_REMOTE_ADDRESS",
    type: "boolean",
    default: "false",
    doc: "Take the address that an outbound request of a sidecar comes from for the client's.",
  }),
  continueHeaders: defineFlag({
    env: "ENABLE_100_CONTINUE_HEADERS",
    type: "boolean",
    default: "true",
    doc: 'Pass "100 Continue" of servers on to clients.',
  }),
  internalNetworks: defineFlag({
    env: "ENABLE_HCM_INTERNAL_NETWORKS",
    type: "boolean",
    default: "false",
    doc: "Take addresses of the mesh's networks for internal on every proxy.",
  }),
  connectionsPerEvent: defineFlag({
    env: "MAX_CONNECTIONS_PER_SOCKET_EVENT_LOOP",
    type: "integer",
    default: "1",
    doc: "Connections that a thread of a proxy accepts at once; 0 for all that wait.",
  }),
  handshakeTimeout: defineFlag({
    env: "PILOT_GATEWAY_TRANSPORT_SOCKET_CONNECT_TIMEOUT",
    type: "duration",
    default: "15s",
    doc: "How long clients of gateways may take for a TLS handshake; 0 for any time.",
  }),
  mergesServicePorts: defineFlag({
    env: "PILOT_ALLOW_SIDECAR_SERVICE_INBOUND_LISTENER_MERGE",
    type: "boolean",
    default: "false",
    doc: "Serve ports of a workload's services beside those that its Sidecar declares.",
  }),
  scopesGateways: defineFlag({
    env: "PILOT_SCOPE_GATEWAY_TO_NAMESPACE",
    type: "boolean",
    default: "false",
    doc: "Let a Gateway select proxies of its own namespace only.",
  }),
  allocationPrefixV4: defineFlag({
    env: "PILOT_IP_AUTOALLOCATE_IPV4_PREFIX",
    type: "string",
    default: "240.240.0.0/16",
    doc: "Block that services of ServiceEntries without an address are given IPv4 addresses of.",
  }),
  allocationPrefixV6: defineFlag({
    env: "PILOT_IP_AUTOALLOCATE_IPV6_PREFIX",
    type: "string",
    default: "2001:2::/48",
    doc: "Block that they are given IPv6 addresses of.",
  }),
  dynamicDnsMaxHosts: defineFlag({
    env: "PILOT_ALLOW_ANY_DYNAMIC_DNS_MAX_HOSTS",
    type: "integer",
    default: "1024",
    doc: "Names that a proxy keeps addresses of under the outbound policy ALLOW_ANY_DYNAMIC_DNS.",
  }),
} as const satisfies { readonly [key: string]: AnyFlag };
