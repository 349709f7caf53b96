/** One route of a virtual host. */
import { structToJson } from "@meltemi/protos";
import type { Route as RouteWire, VirtualHost } from "@meltemi/protos/envoy/config/route/v3";
import type { Exchange } from "../http/exchange.ts";
import { ConfigError, need, within } from "../lib/config-error.ts";
import { wrappedBool } from "../lib/wrapped.ts";
import { compileClusterChoice, type RouteChoice, type RouteFactory } from "./cluster-choice.ts";
import type { CompiledRoute, RouteRules, VirtualHostRules } from "./compiled-route.ts";
import { compileFilterLevel, type FilterLevel, viewFilters } from "./filter-levels.ts";
import { compileForwardRules, lbMetadataOf } from "./forward-rules.ts";
import { compileHeaderMutation, type HeaderMutation, runMutations } from "./header-mutation.ts";
import type { MirrorPolicy } from "./mirror-policy.ts";
import { compileDirectResponse, compileRedirect, type RouteAnswer } from "./redirect.ts";
import { type CompiledMatch, compileRouteMatch } from "./route-match.ts";
import type { RouteDecorator, RouteEnv, RouteKind } from "./types.ts";

/** What routes take from the levels above them. */
export interface RouteLevels {
  readonly wire: VirtualHost;
  readonly rules: VirtualHostRules;
  /** Of the virtual host and of the route table. */
  readonly filterLevels: readonly FilterLevel[];
  readonly requestMutations: LevelMutations;
  readonly responseMutations: LevelMutations;
  readonly tableMirrors: readonly MirrorPolicy[];
  readonly ignoresPathParameters: boolean;
  readonly maxBodyBytes: number;
  /** most_specific_header_mutations_wins: the route's come last. */
  readonly closestWins: boolean;
}

export interface LevelMutations {
  readonly host: HeaderMutation | undefined;
  readonly table: HeaderMutation | undefined;
}

export interface RouteEntry {
  matches(exchange: Exchange): boolean;
  readonly choose: RouteChoice;
}

/** Throws ConfigError. */
export function compileRoute(wire: RouteWire, levels: RouteLevels, env: RouteEnv): RouteEntry {
  const match = within("match", () => compileRouteMatch(need("", wire.match), env, levels));
  const own = {
    filters: compileFilterLevel(wire.typed_per_filter_config, env),
    request: compileMutations(wire, "request", env),
    response: compileMutations(wire, "response", env),
  };
  return { matches: match.matches, choose: compileAction(wire, match, { levels, env, own }) };
}

/** What a route, or a weight of it, says itself. */
interface OwnLevel {
  readonly filters: FilterLevel;
  readonly request: HeaderMutation | undefined;
  readonly response: HeaderMutation | undefined;
}

interface Context {
  readonly levels: RouteLevels;
  readonly env: RouteEnv;
  readonly own: OwnLevel;
}

function compileAction(wire: RouteWire, match: CompiledMatch, context: Context): RouteChoice {
  const { levels, env } = context;
  const { route, redirect, direct_response: direct } = wire;
  if (wire.filter_action !== undefined) throw new ConfigError("filter_action", "is not supported");
  if (route !== undefined) {
    return within("route", () => {
      const forward = compileForwardRules(
        route,
        { route: wire, host: levels.wire, tableMirrors: levels.tableMirrors, match },
        env,
      );
      return compileClusterChoice(route, createRouteFactory(wire, forward, context), env);
    });
  }
  if (redirect !== undefined) {
    return answerWith(
      "redirect",
      within("redirect", () => compileRedirect(redirect, match)),
      { ...context, wire },
    );
  }
  if (direct !== undefined) {
    const answer = within("direct_response", () => compileDirectResponse(direct, levels.maxBodyBytes));
    return answerWith("direct_response", answer, { ...context, wire });
  }
  if (wire.non_forwarding_action === undefined) {
    throw new ConfigError("", "one of route, redirect, direct_response, non_forwarding_action is required");
  }
  const plain = describeRoute(wire, { kind: "non_forwarding" }, context);
  const compiled = { ...plain, rules: { ...plain.rules, answer: undefined, forward: undefined } };
  return () => compiled;
}

function answerWith(
  kind: "redirect" | "direct_response",
  answer: RouteAnswer,
  context: Context & { readonly wire: RouteWire },
): RouteChoice {
  const plain = describeRoute(context.wire, { kind }, context);
  const compiled: CompiledRoute = { ...plain, rules: { ...plain.rules, answer } };
  return () => compiled;
}

function createRouteFactory(
  wire: RouteWire,
  forward: NonNullable<RouteRules["forward"]>,
  context: Context,
): RouteFactory {
  const plan = wire.route ?? {};
  return {
    create(cluster, weight) {
      const hostRewrite = weight?.host_rewrite_literal ?? "";
      const own = lbMetadataOf(weight?.metadata_match);
      const rules = {
        ...forward,
        metadataMatch: own ? { ...forward.metadataMatch, ...own } : forward.metadataMatch,
        weightHost: hostRewrite === "" ? undefined : hostRewrite,
      };
      const action: RouteKind = { kind: "forward", cluster, plan: rules, wire: plan };
      const plain = describeRoute(wire, action, { ...context, weight });
      return { ...plain, rules: { ...plain.rules, forward: rules } };
    },
    withCluster(route, cluster) {
      if (route.action.kind !== "forward") return route;
      return { ...route, action: { ...route.action, cluster } };
    },
  };
}

interface DescribeContext extends Context {
  readonly weight?: Parameters<RouteFactory["create"]>[1];
}

function describeRoute(wire: RouteWire, action: RouteKind, context: DescribeContext): CompiledRoute {
  const { levels, env, own, weight } = context;
  const ofWeight = compileFilterLevel(weight?.typed_per_filter_config, env);
  const responseMutations = orderMutations("response", context);
  const changesReplies = action.kind === "forward" && responseMutations.length > 0;
  return {
    name: wire.name ?? "",
    virtualHost: levels.wire.name ?? "",
    virtualHostWire: levels.wire,
    metadata: metadataOf(wire),
    decorator: compileDecorator(wire),
    action,
    changeReply: changesReplies ? (headers, entry) => runMutations(responseMutations, headers, entry) : undefined,
    ...viewFilters([ofWeight, own.filters, ...levels.filterLevels]),
    rules: {
      requestMutations: orderMutations("request", context),
      responseMutations,
      host: levels.rules,
      answer: undefined,
      forward: undefined,
    },
  };
}

function compileDecorator({ decorator }: RouteWire): RouteDecorator | undefined {
  if (decorator?.operation === undefined || decorator.operation === "") return undefined;
  return { operation: decorator.operation, propagates: wrappedBool(decorator.propagate, true) };
}

function metadataOf(wire: RouteWire): Readonly<Record<string, unknown>> {
  const entries = Object.entries(wire.metadata?.filter_metadata ?? {});
  return Object.fromEntries(entries.map(([name, value]) => [name, structToJson(value)]));
}

/** Later ones win: by default the route table's, then the virtual host's. Those of a weight always come first. */
function orderMutations(
  kind: "request" | "response",
  { levels, env, own, weight }: DescribeContext,
): readonly HeaderMutation[] {
  const above = kind === "request" ? levels.requestMutations : levels.responseMutations;
  const ordered = levels.closestWins ? [above.table, above.host, own[kind]] : [own[kind], above.host, above.table];
  const ofWeight = weight && compileMutations(weight, kind, env);
  return [ofWeight, ...ordered].filter((mutation) => mutation !== undefined);
}

type MutationWire = Pick<
  RouteWire,
  "request_headers_to_add" | "request_headers_to_remove" | "response_headers_to_add" | "response_headers_to_remove"
>;

/** Of one level. Throws ConfigError. */
export function compileMutations(
  wire: MutationWire,
  kind: "request" | "response",
  { clusters }: Pick<RouteEnv, "clusters">,
): HeaderMutation | undefined {
  return compileHeaderMutation(wire[`${kind}_headers_to_add`], wire[`${kind}_headers_to_remove`], kind, { clusters });
}
