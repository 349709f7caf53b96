import type { Flags } from "../config/flags.ts";
import type { Features } from "../model/features.ts";

/** What the flags switch on or off of the translation. */
export function deriveFeatures(flags: Flags): Features {
  return {
    dualStack: flags.dualStack,
    ipv4OutboundListener: flags.ipv4OutboundListener,
    quicListeners: flags.quicListeners,
    persistentSessions: flags.persistentSessions,
    persistentSessionLabel: flags.persistentSessionLabel,
    persistentSessionHeaderLabel: flags.persistentSessionHeaderLabel,
    mongoFilter: flags.mongoFilter,
    mysqlFilter: flags.mysqlFilter,
    redisFilter: flags.redisFilter,
    http10: flags.http10,
    sidecarUsesRemoteAddress: flags.sidecarUsesRemoteAddress,
    continueHeaders: flags.continueHeaders,
    internalNetworks: flags.internalNetworks,
    connectionsPerEvent: flags.connectionsPerEvent,
    handshakeTimeoutMs: flags.handshakeTimeout,
    mergesServicePorts: flags.mergesServicePorts,
    scopesGateways: flags.scopesGateways,
    allocationPrefixV4: flags.allocationPrefixV4,
    allocationPrefixV6: flags.allocationPrefixV6,
    dynamicDnsMaxHosts: flags.dynamicDnsMaxHosts,
  };
}
