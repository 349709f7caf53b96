/**
 * Match conditions of an HTTP route. Only what the proxy has to look at is here: ports, gateways and sources are known
 * when the route is built (request-source.ts). Rules: Istio route.go TranslateRouteMatch.
 */

import { bool } from "@meltemi/protos";
import type { HeaderMatcher, QueryParameterMatcher, RouteMatch } from "@meltemi/protos/envoy/config/route/v3";
import type { MetadataMatcher } from "@meltemi/protos/envoy/type/matcher/v3";
import type { HttpMatch, StringMatch } from "../../api/virtual-service/schema.ts";
import { compareText, sortEntries } from "../../lib/text-order.ts";
import { buildClaimMatcher, parseClaimHeader } from "./jwt-claims.ts";
import type { RouteSemantics } from "./route-semantics.ts";
import { buildStringMatcher, isPresenceMatch } from "./string-match.ts";

/** The match of a route; `match` is undefined for a rule without conditions. */
export function buildRouteMatch(match: HttpMatch | undefined, semantics: RouteSemantics): RouteMatch {
  if (match === undefined) return { prefix: "/" };
  const headers = [...listHeaderMatchers(match), ...listPseudoHeaderMatchers(match)];
  const metadata = listClaimMatchers(match);
  const parameters = sortEntries(Object.entries(match.queryParams ?? {})).map(([name, value]) =>
    buildQueryMatcher(name, value),
  );
  return {
    ...buildPathMatch(match.uri, semantics),
    case_sensitive: bool(match.ignoreUriCase !== true),
    ...(headers.length === 0 ? {} : { headers }),
    ...(parameters.length === 0 ? {} : { query_parameters: parameters }),
    ...(metadata.length === 0 ? {} : { dynamic_metadata: metadata }),
  };
}

/** True where no request passes the match by, so that later routes are never reached (Istio: IsCatchAllRoute). */
export function isCatchAllMatch(match: RouteMatch): boolean {
  const anyPath = match.prefix === "/" || match.path_separated_prefix === "/" || match.safe_regex?.regex === ".*";
  const conditions = [match.headers, match.query_parameters, match.dynamic_metadata];
  return anyPath && conditions.every((list) => (list?.length ?? 0) === 0);
}

function buildPathMatch(uri: StringMatch | undefined, semantics: RouteSemantics): RouteMatch {
  if (uri?.exact !== undefined) return { path: uri.exact };
  if (uri?.regex !== undefined) return { safe_regex: { regex: uri.regex } };
  const prefix = uri?.prefix ?? "/";
  // Ingress and the Gateway API mean whole path segments; Istio's own prefix is plain text.
  if (semantics !== "istio" && prefix !== "/") return { path_separated_prefix: prefix.replace(/\/$/, "") };
  return { prefix };
}

function listHeaderMatchers(match: HttpMatch): readonly HeaderMatcher[] {
  const wanted = sortEntries(Object.entries(match.headers ?? {})).map(([name, value]) =>
    buildHeaderMatcher(name, value),
  );
  const unwanted = sortEntries(Object.entries(match.withoutHeaders ?? {})).map(([name, value]) => ({
    ...buildHeaderMatcher(name, value),
    invert_match: true,
    // A request without the header has to pass; the flag is not allowed beside present_match.
    ...(isPresenceMatch(value) ? {} : { treat_missing_header_as_empty: true }),
  }));
  const all: readonly HeaderMatcher[] = [...wanted, ...unwanted];
  return all
    .filter((matcher) => parseClaimHeader(matcher.name ?? "") === undefined)
    .toSorted((a, b) => compareText(a.name ?? "", b.name ?? ""));
}

/** Method, authority and scheme come after the sorted headers, in this order. */
function listPseudoHeaderMatchers(match: HttpMatch): readonly HeaderMatcher[] {
  const pairs: readonly (readonly [string, StringMatch | undefined])[] = [
    [":method", match.method],
    [":authority", match.authority],
    [":scheme", match.scheme],
  ];
  return pairs.flatMap(([name, value]) => (value === undefined ? [] : [buildHeaderMatcher(name, value)]));
}

function listClaimMatchers(match: HttpMatch): readonly MetadataMatcher[] {
  const claimsOf = (headers: HttpMatch["headers"], invert: boolean): readonly MetadataMatcher[] =>
    sortEntries(Object.entries(headers ?? {})).flatMap(([name, value]) => {
      const claims = parseClaimHeader(name);
      return claims === undefined ? [] : [buildClaimMatcher(claims, value, invert)];
    });
  return [...claimsOf(match.headers, false), ...claimsOf(match.withoutHeaders, true)];
}

function buildHeaderMatcher(name: string, match: StringMatch): HeaderMatcher {
  return isPresenceMatch(match) ? { name, present_match: true } : { name, string_match: buildStringMatcher(match) };
}

function buildQueryMatcher(name: string, match: StringMatch): QueryParameterMatcher {
  return isPresenceMatch(match) ? { name, present_match: true } : { name, string_match: buildStringMatcher(match) };
}
