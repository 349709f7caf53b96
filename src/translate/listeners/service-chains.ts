/** Filter chains of one port of one service, outbound. */

import type { DnsCacheConfig } from "@meltemi/protos/envoy/extensions/common/dynamic_forward_proxy/v3";
import { isHttp, isTls, type Protocol } from "../../lib/protocol.ts";
import type { Service } from "../../model/service.ts";
import type { ResolvedVirtualService } from "../../snapshot/snapshot.ts";
import { hasExtension } from "../capabilities.ts";
import {
  buildServiceCache,
  findUnknownHostCache,
  forwardProxyFilter,
  forwardsDynamically,
  selectLookupFamily,
} from "../dns/dynamic-forward.ts";
import { buildPortRouteName, buildServiceRouteName } from "../names.ts";
import type { ScopeView } from "../scope.ts";
import { type L4RoutePlan, matchTcpRoutes, matchTlsRoutes } from "../tcp-routes/l4-routes.ts";
import { type ChainPlan, matchPlaintextHttp } from "./chain-plan.ts";
import { classifyProtocol } from "./listener-conflicts.ts";

/** The port of a listener: that of a service, or one that a Sidecar declares. */
export interface ListenPort {
  /** 0 for a socket. */
  readonly number: number;
  readonly name: string;
  readonly protocol: Protocol;
}

export interface ServiceChainsRequest {
  readonly service: Service;
  readonly port: ListenPort;
  readonly bind: string;
  /** True where the listener is bound to all addresses. */
  readonly bindsWildcard: boolean;
  /** Blocks of addresses that tell the service from others of the listener; empty where its address does. */
  readonly blocks: readonly string[];
  readonly virtualServices: readonly ResolvedVirtualService[];
}

/** All chains; the protocol of the port must have a listener (classifyProtocol). */
export function planServiceChains(view: ScopeView, request: ServiceChainsRequest): readonly ChainPlan[] {
  const { port, bindsWildcard } = request;
  switch (classifyProtocol(port.protocol)) {
    case "http":
      return [
        sniffsHttp(port, bindsWildcard)
          ? matchPlaintextHttp(planHttpChain(view, request), view.snapshot.features)
          : planHttpChain(view, request),
      ];
    case "auto":
      return [...planL4Chains(view, request), matchPlaintextHttp(planHttpChain(view, request), view.snapshot.features)];
    default:
      return planL4Chains(view, request);
  }
}

/** What a listener has become by these chains: "Unsupported" is one that sniffs. */
export function listenerProtocol({ port, bindsWildcard }: ServiceChainsRequest): Protocol {
  return sniffsHttp(port, bindsWildcard) ? "Unsupported" : port.protocol;
}

/** On all addresses there comes also what is not HTTP and known to no service; it must get past the HTTP chain. */
function sniffsHttp({ protocol }: ListenPort, bindsWildcard: boolean): boolean {
  return bindsWildcard && isHttp(protocol) && protocol !== "HTTP_PROXY";
}

function planL4Chains(view: ScopeView, request: ServiceChainsRequest): readonly ChainPlan[] {
  const { service, port, bind, blocks, bindsWildcard, virtualServices } = request;
  const asked = {
    service,
    port: port.number,
    portName: port.name,
    virtualServices,
    destinationSubnets: blocks,
    bindsWildcard,
    isAddress: bindsWildcard ? false : bind !== "" && service.addresses.includes(bind),
  };
  const plans = isTls(port.protocol) ? matchTlsRoutes(view, asked) : matchTcpRoutes(view, asked);
  return plans.map((plan) => convertPlan(plan, port.protocol));
}

function convertPlan(plan: L4RoutePlan, protocol: Protocol): ChainPlan {
  const { sniHosts, destinationSubnets, target, configRef, sources } = plan;
  return {
    match: {
      ...(sniHosts.length === 0 ? {} : { serverNames: sniHosts }),
      ...(destinationSubnets.length === 0 ? {} : { prefixes: destinationSubnets }),
    },
    content: { kind: "tcp", protocol, target },
    ...(configRef === undefined ? {} : { config: configRef }),
    sources,
  };
}

function planHttpChain(view: ScopeView, request: ServiceChainsRequest): ChainPlan {
  const { service, port, bind, bindsWildcard } = request;
  const { number, protocol } = port;
  // A service that is sniffed at its own address has routes of its own; otherwise there is one name for the whole port.
  const isOwn = number !== 0 && protocol === "Unsupported" && !bindsWildcard;
  const shared = number === 0 ? bind : buildPortRouteName(number);
  const routeName = isOwn ? buildServiceRouteName(service.hostname, number) : shared;
  return {
    match: {},
    content: { kind: "http", routeName, protocol, ...planDnsCaches(view, service) },
    // A chain that services share names none of them: which they are is said by the listener and by the routes.
    sources: isOwn ? [{ object: service.object, path: "" }] : [],
  };
}

function planDnsCaches(view: ScopeView, service: Service): { readonly dnsCaches?: readonly DnsCacheConfig[] } {
  const dnsCaches = [findServiceCache(view, service), findUnknownHostCache(view)].filter(
    (cache) => cache !== undefined,
  );
  return dnsCaches.length === 0 ? {} : { dnsCaches };
}

/** The cache for requests to a service that name their host; undefined for others, and where the proxy cannot do it. */
export function findServiceCache({ key, snapshot }: ScopeView, service: Service): DnsCacheConfig | undefined {
  if (!forwardsDynamically(service) || !hasExtension(key.capabilities, forwardProxyFilter)) return undefined;
  return buildServiceCache(service, selectLookupFamily(key, snapshot.features));
}
