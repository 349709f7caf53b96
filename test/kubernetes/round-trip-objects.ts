/** Objects of every Istio kind that together set every field of their CRDs. */
import * as networking from "./round-trip-networking.ts";
import * as policies from "./round-trip-policies.ts";

export const roundTripSpecs: Readonly<Record<string, readonly Readonly<Record<string, unknown>>[]>> = {
  VirtualService: networking.virtualServices,
  DestinationRule: networking.destinationRules,
  Gateway: networking.gateways,
  ServiceEntry: networking.serviceEntries,
  WorkloadEntry: networking.workloadEntries,
  WorkloadGroup: networking.workloadGroups,
  Sidecar: networking.sidecars,
  ProxyConfig: networking.proxyConfigs,
  AuthorizationPolicy: policies.authorizationPolicies,
  RequestAuthentication: policies.requestAuthentications,
  PeerAuthentication: policies.peerAuthentications,
  Telemetry: policies.telemetries,
  EnvoyFilter: networking.envoyFilters,
  WasmPlugin: policies.wasmPlugins,
  TrafficExtension: policies.trafficExtensions,
};
