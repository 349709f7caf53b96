/**
 * Routes of a virtual service, for sidecars and gateways alike. Rules: Istio route.go BuildHTTPRoutesForVirtualService.
 */
import { packAny } from "@meltemi/protos";
import type { Route } from "@meltemi/protos/envoy/config/route/v3";
import { refOf } from "../../api/object.ts";
import type { HttpMatch, HttpRoute, HttpRouteDestination } from "../../api/virtual-service/schema.ts";
import { memoByIdentity } from "../../lib/memo.ts";
import { createSlotMemo } from "../../lib/slot-memo.ts";
import type { ResolvedVirtualService } from "../../snapshot/snapshot.ts";
import { type PartSource, withSources } from "../built.ts";
import { hasExtension } from "../capabilities.ts";
import { parseClusterName } from "../names.ts";
import type { ScopeView } from "../scope.ts";
import { configMetadata } from "./config-metadata.ts";
import { buildCors, corsFilter } from "./cors.ts";
import { buildDestinationCluster, type DestinationLookup } from "./destinations.ts";
import { buildFault, faultFilter } from "./fault.ts";
import { findDestinationHash } from "./hash-policy.ts";
import { buildHeaderFields, mergeHeaderFields } from "./header-operations.ts";
import { buildSessionConfig, combineSessions, findPersistentSession } from "./persistent-session.ts";
import { buildDirectResponse, buildRedirect } from "./redirect.ts";
import { matchesHttpSource, type RequestSource, readsWorkload } from "./request-source.ts";
import { buildForwardingAction, type ResolvedRule } from "./route-action.ts";
import { type RouteFacts, routeFactsOf } from "./route-facts.ts";
import { buildRouteMatch, isCatchAllMatch } from "./route-match.ts";
import { routeSemanticsOf } from "./route-semantics.ts";

export interface RouteContext {
  readonly view: ScopeView;
  /** "mesh" for sidecars; the gateways ("namespace/name") that the routes are for. */
  readonly gateways: ReadonlySet<string>;
  /** Port that requests are addressed to: of the service or of the gateway's server; 0 where there is no single one. */
  readonly port: number;
  /** True where the gateway ends TLS, so that redirects without a scheme stay on https. */
  readonly isTls: boolean;
  readonly findDestination: DestinationLookup;
}

const keptRoutes = createSlotMemo<readonly Route[]>();
const isWorkloadRead = memoByIdentity(readsWorkload);

/**
 * Routes of a virtual service in their order, up to the first that no request passes by; empty where no rule applies
 * here. The same array is returned while neither the virtual service nor what its destinations mean has changed.
 */
export function buildVirtualServiceRoutes(
  virtualService: ResolvedVirtualService,
  context: RouteContext,
): readonly Route[] {
  const { view, gateways, port, isTls } = context;
  const rules = virtualService.spec.http ?? [];
  const resolved = rules.map((rule) => resolveRule(rule, context));
  const facts = routeFactsOf(view);
  const workload = isWorkloadRead(virtualService) ? [view.key.namespace, view.key.labels] : [];
  const slot = JSON.stringify([[...gateways].sort(), port, isTls, facts.id, workload]);
  const inputs = resolved.flatMap(({ destinations, mirrors, session }) => [
    session,
    ...destinations.flatMap(({ cluster, hash }) => [cluster, hash]),
    ...mirrors,
  ]);
  return keptRoutes({ owner: virtualService, slot }, inputs, () => {
    const source = { gateways, port, labels: view.key.labels, namespace: view.key.namespace };
    return listRoutes({ virtualService, source, facts, isTls }, resolved);
  });
}

/** True where no request passes the route by. */
function isCatchAllRoute(route: Route): boolean {
  return route.match !== undefined && isCatchAllMatch(route.match);
}

/** Moves routes that catch everything behind all others; for gateways, where several virtual services share a host. */
export function sortCatchAllLast(routes: readonly Route[]): readonly Route[] {
  const catchAll = routes.filter(isCatchAllRoute);
  return catchAll.length === 0 ? routes : [...routes.filter((route) => !isCatchAllRoute(route)), ...catchAll];
}

interface RuleContext {
  readonly virtualService: ResolvedVirtualService;
  readonly source: RequestSource;
  readonly facts: RouteFacts;
  readonly isTls: boolean;
}

function resolveRule(rule: HttpRoute, context: RouteContext): ResolvedRule {
  const { view } = context;
  const destinations = (rule.route ?? []).map(({ destination }) => {
    const service = view.findService(destination.host);
    const destinationRule = service === undefined ? undefined : view.findDestinationRule(service);
    const hash = findDestinationHash(destinationRule, destination);
    return { cluster: buildDestinationCluster(destination, context), hash };
  });
  const mirrored = [
    ...(rule.mirror === undefined ? [] : [rule.mirror]),
    ...(rule.mirrors ?? []).map((m) => m.destination),
  ];
  const session = combineSessions(
    listUsedDestinations(rule).map(({ destination }) =>
      findPersistentSession(view.findService(destination.host), view),
    ),
  );
  return { destinations, session, mirrors: mirrored.map((mirror) => buildDestinationCluster(mirror, context)) };
}

/** The only destination, or those of several that have a share. */
function listUsedDestinations({ route = [] }: HttpRoute): readonly HttpRouteDestination[] {
  return route.length === 1 ? route : route.filter(({ weight = 0 }) => weight > 0);
}

function listRoutes(context: RuleContext, resolved: readonly ResolvedRule[]): readonly Route[] {
  const routes: Route[] = [];
  for (const [ruleIndex, rule] of (context.virtualService.spec.http ?? []).entries()) {
    const targets = resolved[ruleIndex] ?? { destinations: [], mirrors: [], session: undefined };
    const path = `spec.http[${ruleIndex}]`;
    const matches = rule.match ?? [];
    if (matches.length === 0) {
      routes.push(
        withSources(
          buildRoute({ rule, match: undefined, targets }, context),
          listOrigins(context.virtualService, path),
        ),
      );
      return routes;
    }
    for (const [matchIndex, match] of matches.entries()) {
      if (!matchesHttpSource(match, context.source)) continue;
      const route = buildRoute({ rule, match, targets }, context);
      routes.push(withSources(route, listOrigins(context.virtualService, `${path}.match[${matchIndex}]`)));
      if (isCatchAllRoute(route)) return routes;
    }
  }
  return routes;
}

/** What made a route. Where delegates are merged in, rules do not stand where the objects have them. */
function listOrigins({ object, sources }: ResolvedVirtualService, path: string): readonly PartSource[] {
  return sources.length > 1
    ? sources.map((source) => ({ object: source, path: "spec.http" }))
    : [{ object: refOf(object), path }];
}

interface RoutePart {
  readonly rule: HttpRoute;
  readonly match: HttpMatch | undefined;
  readonly targets: ResolvedRule;
}

function buildRoute(part: RoutePart, context: RuleContext): Route {
  const { rule, match } = part;
  const { virtualService, source } = context;
  const routeMatch = buildRouteMatch(match, routeSemanticsOf(virtualService));
  const name = match?.name ? `${rule.name ?? ""}.${match.name}` : (rule.name ?? "");
  const action = buildAction(part, { ...context, segmentPrefix: routeMatch.path_separated_prefix });
  const filters = { ...buildFilterConfigs(rule, context.facts), ...buildSessionConfig(part.targets.session) };
  const route: Route = {
    ...(name === "" ? {} : { name }),
    match: routeMatch,
    ...action,
    metadata: configMetadata(refOf(virtualService.object)),
    ...(match?.statPrefix ? { stat_prefix: match.statPrefix } : {}),
    ...(Object.keys(filters).length === 0 ? {} : { typed_per_filter_config: filters }),
  };
  const owner = `${virtualService.object.meta.name}:${source.port}`;
  return { ...route, decorator: { operation: formatOperation(route, owner) } };
}

function buildAction(part: RoutePart, context: RuleContext & { readonly segmentPrefix: string | undefined }): Route {
  const { rule, targets } = part;
  const semantics = routeSemanticsOf(context.virtualService);
  const headers = buildHeaderFields(rule.headers);
  if (rule.redirect !== undefined) {
    const { port } = context.source;
    return { redirect: buildRedirect(rule.redirect, { port, isTls: context.isTls }), ...headers };
  }
  if (rule.directResponse !== undefined)
    return { direct_response: buildDirectResponse(rule.directResponse), ...headers };
  const forwarding = buildForwardingAction(rule, targets, { ...context, semantics });
  return { route: forwarding.action, ...mergeHeaderFields(headers, forwarding.headers) };
}

/** Configuration for filters of the route; nothing for filters that the proxy does not have, which it would refuse. */
function buildFilterConfigs(rule: HttpRoute, facts: RouteFacts): NonNullable<Route["typed_per_filter_config"]> {
  const hasFault = rule.fault !== undefined && hasExtension(facts.capabilities, faultFilter);
  const hasCors = rule.corsPolicy !== undefined && hasExtension(facts.capabilities, corsFilter);
  return {
    ...(hasFault
      ? { [faultFilter]: packAny("envoy.extensions.filters.http.fault.v3.HTTPFault", buildFault(rule.fault)) }
      : {}),
    ...(hasCors
      ? { [corsFilter]: packAny("envoy.extensions.filters.http.cors.v3.CorsPolicy", buildCors(rule.corsPolicy)) }
      : {}),
  };
}

/** What traces call the route: its only destination, otherwise the virtual service, with the path. */
function formatOperation(route: Route, owner: string): string {
  const cluster = route.route?.cluster === undefined ? undefined : parseClusterName(route.route.cluster);
  return `${cluster === undefined ? owner : `${cluster.hostname}:${cluster.port}`}${formatPath(route)}`;
}

function formatPath(route: Route): string {
  const { path, prefix, safe_regex: regex } = route.match ?? {};
  if (path !== undefined) return path;
  if (regex?.regex !== undefined) return regex.regex;
  return prefix === undefined ? "/*" : `${prefix}*`;
}
