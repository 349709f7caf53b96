/** What decides the rules of redirection, checked and complete: every text in it may stand in a rule as it is. */

export interface RedirectionSettings {
  /** Port that takes outbound connections; Istio's 15001. */
  readonly proxyPort: string;
  /** Port that takes inbound connections; Istio's 15006. */
  readonly inboundCapturePort: string;
  /** Port of tunnelled traffic (HBONE), which is never redirected; Istio's 15008. */
  readonly inboundTunnelPort: string;
  /** Users and groups whose own traffic is not redirected: the proxy's. */
  readonly proxyUids: readonly string[];
  readonly proxyGids: readonly string[];
  readonly interceptionMode: "REDIRECT" | "TPROXY";
  readonly tproxyMark: string;
  readonly tproxyRouteTable: string;
  /** Inbound ports to redirect; an empty list redirects none. */
  readonly inboundPorts: "*" | readonly string[];
  /** Exceptions to "*". */
  readonly inboundPortsExcluded: readonly string[];
  /** Destinations to redirect; an empty list redirects none. */
  readonly outboundRanges: "*" | AddressRanges;
  readonly outboundRangesExcluded: AddressRanges;
  /** Ports that are redirected whatever their destination. */
  readonly outboundPorts: readonly string[];
  readonly outboundPortsExcluded: readonly string[];
  /** Groups whose traffic is redirected, by name or number. */
  readonly ownerGroups: "*" | readonly string[];
  /** Exceptions to "*". */
  readonly ownerGroupsExcluded: readonly string[];
  /** Interfaces of virtual machines: what comes in through them is outbound traffic. */
  readonly virtualInterfaces: readonly string[];
  /** Interfaces whose traffic is let be. */
  readonly excludedInterfaces: readonly string[];
  readonly dns: DnsCapture;
  readonly dropInvalid: boolean;
  /** Makes rules for IPv6 as well. */
  readonly ipv6: boolean;
  /** What counts as the pod's own loopback destination, such as "127.0.0.1/32". */
  readonly ipv4LoopbackRange: string;
}

/** Ranges in CIDR form, by family. */
export interface AddressRanges {
  readonly v4: readonly string[];
  readonly v6: readonly string[];
}

/** Which queries go to the agent's DNS server: none, all, or those to the resolvers of the pod. */
export type DnsCapture =
  | { readonly kind: "none" }
  | { readonly kind: "all" }
  | { readonly kind: "servers"; readonly v4: readonly string[]; readonly v6: readonly string[] };

/** Redirection cannot be set up as it was asked for, or as things stand; the message says why. */
export class RedirectionError extends Error {}
