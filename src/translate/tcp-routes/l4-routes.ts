/**
 * Rules of virtual services for TCP and TLS connections, as an ordered plan of filter chains. Conditions that are known
 * now (port, gateways, source) are decided here; server names and destination addresses are left for the proxy. Rules:
 * Istio core/tls.go.
 */

import { refOf } from "../../api/object.ts";
import type { L4Match, TcpRoute, TlsMatch, TlsRoute } from "../../api/virtual-service/schema.ts";
import type { ObjectRef } from "../../lib/message.ts";
import type { Service } from "../../model/service.ts";
import type { ResolvedVirtualService } from "../../snapshot/snapshot.ts";
import type { PartSource } from "../built.ts";
import { hasExtension } from "../capabilities.ts";
import {
  buildServiceCache,
  forwardsDynamically,
  selectLookupFamily,
  sniForwardProxyFilter,
} from "../dns/dynamic-forward.ts";
import { listClientAddresses, listShortForms } from "../routes/host-domains.ts";
import { matchesL4Source, meshGateways, type RequestSource } from "../routes/request-source.ts";
import { indexVirtualServices } from "../routes/view-index.ts";
import type { ScopeView } from "../scope.ts";
import { type L4Target, type L4TargetContext, planServiceTarget, planTarget } from "./l4-target.ts";

/** One filter chain: its conditions and where its connections go. */
export interface L4RoutePlan {
  /** Server names to match; empty for any. */
  readonly sniHosts: readonly string[];
  /** Destination addresses (IP or CIDR) to match; empty for any. */
  readonly destinationSubnets: readonly string[];
  readonly target: L4Target;
  /** The virtual service that the chain's metadata names; undefined for chains that Istio gives none. */
  readonly configRef: ObjectRef | undefined;
  readonly sources: readonly PartSource[];
}

/** A port of a service that a sidecar's listener is made for. */
export interface L4Request {
  readonly service: Service;
  /** Port of the listener; 0 for a socket, on which addresses cannot be matched. */
  readonly port: number;
  /** Its name, for statistics. */
  readonly portName?: string;
  /** Virtual services of the egress listener, oldest first. */
  readonly virtualServices: readonly ResolvedVirtualService[];
  /** Addresses of the service that a shared listener tells it by; empty where the listener has its own address. */
  readonly destinationSubnets: readonly string[];
  /** True where the listener is bound to all addresses. */
  readonly bindsWildcard: boolean;
  /** True where it is bound to an address of the service, which tells it from all others. */
  readonly isAddress?: boolean;
}

/**
 * Chains of a TCP port, in order: those for subnets, then the one that takes the rest, from the first rule without
 * subnets or else to the service itself. There is no last one where a rule has the very subnets of the service: Envoy
 * refuses two chains with equal conditions.
 */
export function matchTcpRoutes(view: ScopeView, request: L4Request): readonly L4RoutePlan[] {
  const { port, destinationSubnets } = request;
  const plans: L4RoutePlan[] = [];
  let isOwnTaken = false;
  for (const { virtualService, rule, path } of listTcpRules(request)) {
    const subnets = listRuleSubnets(rule, sourceOf(view, port));
    if (subnets === undefined) continue;
    const ref = refOf(virtualService.object);
    const target = planTarget(rule.route ?? [], ref, contextOf(view, request));
    if (target === undefined) continue;
    const sources = [{ object: ref, path }];
    if (subnets.length === 0) {
      if (isOwnTaken) return plans;
      return [...plans, { sniHosts: [], destinationSubnets, target, configRef: ref, sources }];
    }
    // Istio names no virtual service in the metadata of these chains.
    plans.push({ sniHosts: [], destinationSubnets: subnets, target, configRef: undefined, sources });
    isOwnTaken ||= isSameSet(subnets, destinationSubnets);
  }
  return isOwnTaken ? plans : [...plans, planDefault(view, request, [])];
}

/**
 * Chains of a TLS or HTTPS port, in order: one for each match of a rule, or the service itself where no rule matches.
 * A match whose server names and subnets came before is never reached and left out.
 */
export function matchTlsRoutes(view: ScopeView, request: L4Request): readonly L4RoutePlan[] {
  const handled = new Set<string>();
  const plans: L4RoutePlan[] = [];
  for (const { ref, rule, match, path } of listApplyingTlsMatches(view, request)) {
    const target = planTarget(rule.route ?? [], ref, contextOf(view, request));
    const key = JSON.stringify([match.sniHosts, match.destinationSubnets ?? []]);
    if (target === undefined || handled.has(key)) continue;
    handled.add(key);
    const own = request.port > 0 ? (match.destinationSubnets ?? []) : [];
    const destinationSubnets = own.length > 0 ? own : request.destinationSubnets;
    const sources = [{ object: ref, path }];
    plans.push({ sniHosts: match.sniHosts, destinationSubnets, target, configRef: ref, sources });
  }
  return plans.length > 0 ? plans : [planDefault(view, request, listDefaultNames(view, request))];
}

/** The first TCP rule with destinations that applies to a gateway's port; the gateway makes one chain of it. */
export function findGatewayTcpRoute(
  virtualService: ResolvedVirtualService,
  source: RequestSource,
): { readonly rule: TcpRoute; readonly path: string } | undefined {
  const rules = virtualService.spec.tcp ?? [];
  const index = rules.findIndex(({ match = [], route = [] }) => {
    if (route.length === 0) return false;
    return match.length === 0 || match.some((candidate) => matchesGatewayL4(candidate, source));
  });
  const rule = rules[index];
  return rule === undefined ? undefined : { rule, path: `spec.tcp[${index}]` };
}

/** TLS matches of a virtual service that apply to a gateway's port, in order. */
export function listGatewayTlsMatches(
  virtualService: ResolvedVirtualService,
  source: RequestSource,
): readonly TlsMatchOfRule[] {
  return listTlsMatches(virtualService.spec.tls ?? []).filter(({ match }) => matchesGatewayL4(match, source));
}

/** On gateways the workload that connects is not known: only gateway and port count. */
function matchesGatewayL4(match: L4Match, source: RequestSource): boolean {
  const { port, gateways } = match;
  return matchesL4Source(
    { ...(port === undefined ? {} : { port }), ...(gateways === undefined ? {} : { gateways }) },
    source,
  );
}

interface TcpRule {
  readonly virtualService: ResolvedVirtualService;
  readonly rule: TcpRoute;
  readonly path: string;
}

function listTcpRules({ service, virtualServices }: L4Request): readonly TcpRule[] {
  const applying = indexVirtualServices(virtualServices).listForHost(service.hostname);
  return applying.flatMap((virtualService) =>
    (virtualService.spec.tcp ?? []).map((rule, index) => ({ virtualService, rule, path: `spec.tcp[${index}]` })),
  );
}

/** Subnets of the matches that apply, sorted as Istio sends them: none where one takes any address, undefined where no match applies. */
function listRuleSubnets(rule: TcpRoute, source: RequestSource): readonly string[] | undefined {
  const matches = rule.match ?? [];
  if (matches.length === 0) return [];
  const applying = matches.filter((match) => matchesL4Source(match, source));
  if (applying.length === 0) return undefined;
  const takesAny = applying.some((match) => (match.destinationSubnets?.length ?? 0) === 0 || source.port === 0);
  return takesAny ? [] : applying.flatMap((match) => match.destinationSubnets ?? []).sort();
}

interface TlsMatchOfRule {
  readonly rule: TlsRoute;
  readonly match: TlsMatch;
  readonly path: string;
}

function listApplyingTlsMatches(
  view: ScopeView,
  { service, port, virtualServices }: L4Request,
): readonly (TlsMatchOfRule & { readonly ref: ObjectRef })[] {
  const source = sourceOf(view, port);
  return indexVirtualServices(virtualServices)
    .listForHost(service.hostname)
    .flatMap((virtualService) => {
      const ref = refOf(virtualService.object);
      const matches = listTlsMatches(virtualService.spec.tls ?? []);
      return matches.filter(({ match }) => matchesL4Source(match, source)).map((found) => ({ ...found, ref }));
    });
}

function listTlsMatches(rules: readonly TlsRoute[]): readonly TlsMatchOfRule[] {
  return rules.flatMap((rule, index) =>
    rule.match.map((match, matchIndex) => ({ rule, match, path: `spec.tls[${index}].match[${matchIndex}]` })),
  );
}

function planDefault(view: ScopeView, request: L4Request, sniHosts: readonly string[]): L4RoutePlan {
  const { service, port, destinationSubnets } = request;
  return {
    sniHosts,
    destinationSubnets,
    target: { ...planServiceTarget(service, { view, port }), ...planForward(view, request) },
    configRef: undefined,
    sources: [{ object: service.object, path: "" }],
  };
}

/** Where each handshake says the host, its name has to be looked up first. */
function planForward({ key, snapshot }: ScopeView, { service, port }: L4Request): Pick<L4Target, "forward"> {
  if (!forwardsDynamically(service) || !hasExtension(key.capabilities, sniForwardProxyFilter)) return {};
  const cache = buildServiceCache(service, selectLookupFamily(key, snapshot.features));
  return { forward: { cache, port } };
}

/** Server names are needed where the address alone does not tell the service. */
function listDefaultNames(view: ScopeView, request: L4Request): readonly string[] {
  const { service, destinationSubnets, bindsWildcard } = request;
  if (request.isAddress === true) return [];
  const [address] = listClientAddresses(view.key, service);
  const isBlock = address?.includes("/") === true;
  const isTold = destinationSubnets.length === 0 && !isBlock && (address !== undefined || !bindsWildcard);
  if (isTold && !forwardsDynamically(service)) return [];
  const aliases = service.aliases.flatMap(({ hostname }) => [
    hostname,
    ...listShortForms(hostname, view.key.dnsDomain),
  ]);
  return [service.hostname, ...aliases];
}

function sourceOf(view: ScopeView, port: number): RequestSource {
  return { gateways: meshGateways, port, labels: view.key.labels, namespace: view.key.namespace };
}

function contextOf(view: ScopeView, { port, portName }: L4Request): L4TargetContext {
  return { view, port, ...(portName === undefined ? {} : { portName }) };
}

function isSameSet(a: readonly string[], b: readonly string[]): boolean {
  const [left, right] = [a.toSorted(), b.toSorted()];
  return left.length === right.length && left.every((value, index) => value === right[index]);
}
