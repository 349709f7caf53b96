/**
 * What an operator may switch on or off of the translation itself, as plain data. Names of the variables, and what holds
 * where nobody sets them, are istiod's (pilot/pkg/features).
 */
export interface Features {
  /** Addresses of both IP families for proxies that have both (ISTIO_DUAL_STACK). */
  readonly dualStack: boolean;
  /** A listener on IPv4 as well for outbound traffic of proxies with IPv6 alone. */
  readonly ipv4OutboundListener: boolean;
  /** HTTP/3 beside servers of gateways that end TLS for HTTPS (PILOT_ENABLE_QUIC_LISTENERS). */
  readonly quicListeners: boolean;
  /** Sessions that stay with an endpoint, for services with one of the two labels below. */
  readonly persistentSessions: boolean;
  /** On a Service: `cookie` or `cookie:path`. */
  readonly persistentSessionLabel: string;
  /** On a Service: name of a header. */
  readonly persistentSessionHeaderLabel: string;
  readonly mongoFilter: boolean;
  readonly mysqlFilter: boolean;
  readonly redisFilter: boolean;
  /** HTTP/1.0 for every proxy, found in plain text as well (PILOT_HTTP10). */
  readonly http10: boolean;
  readonly sidecarUsesRemoteAddress: boolean;
  /** Whether "100 Continue" of servers is passed on to clients. */
  readonly continueHeaders: boolean;
  /** Networks of the mesh count as internal on every proxy, not only on those that take the client's address. */
  readonly internalNetworks: boolean;
  /** Connections accepted for each wake-up of a thread; 0 for as many as there are. */
  readonly connectionsPerEvent: number;
  /** Milliseconds for a handshake on outbound listeners and gateways; 0 for no limit. */
  readonly handshakeTimeoutMs: number;
  /** Ports of services beside those that Sidecar.ingress declares. */
  readonly mergesServicePorts: boolean;
  /** Gateways select proxies of their own namespace only. */
  readonly scopesGateways: boolean;
  /**
   * Where addresses for services without one are taken from, in CIDR notation (PILOT_IP_AUTOALLOCATE_IPV4_PREFIX): the
   * defaults are reserved for future use and for benchmarks, so that no real server has such an address.
   */
  readonly allocationPrefixV4: string;
  readonly allocationPrefixV6: string;
  /** Names that a proxy with a dynamic forward proxy for every host keeps addresses of. */
  readonly dynamicDnsMaxHosts: number;
}

export const defaultFeatures: Features = {
  dualStack: false,
  ipv4OutboundListener: false,
  quicListeners: false,
  persistentSessions: false,
  persistentSessionLabel: "istio.io/persistent-session",
  persistentSessionHeaderLabel: "istio.io/persistent-session-header",
  mongoFilter: true,
  mysqlFilter: false,
  redisFilter: false,
  http10: false,
  sidecarUsesRemoteAddress: false,
  continueHeaders: true,
  internalNetworks: false,
  connectionsPerEvent: 1,
  handshakeTimeoutMs: 15_000,
  mergesServicePorts: false,
  scopesGateways: false,
  allocationPrefixV4: "240.240.0.0/16",
  allocationPrefixV6: "2001:2::/48",
  dynamicDnsMaxHosts: 1024,
};

/** What differs from the defaults as one short text: "" for the defaults, and equal texts for equal features. */
export function formatFeatures(features: Features): string {
  const differing = Object.entries(features).filter(
    ([name, value]) => value !== defaultFeatures[name as keyof Features],
  );
  return differing.length === 0 ? "" : JSON.stringify(differing.sort(([a], [b]) => (a < b ? -1 : 1)));
}
