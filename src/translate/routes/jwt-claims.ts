/**
 * Routing by claims of a verified token: headers named "@request.auth.claims.<a>.<b>" or "@request.auth.claims[a][b]"
 * match what the JWT filter put into the request's metadata. Rules: Istio pkg/jwt/routing.go and
 * istio.io/docs/tasks/security/authentication/jwt-route.
 */
import type { MetadataMatcher, ValueMatcher } from "@meltemi/protos/envoy/type/matcher/v3";
import type { StringMatch } from "../../api/virtual-service/schema.ts";
import { buildStringMatcher, isPresenceMatch } from "./string-match.ts";

const headerPrefix = "@request.auth.claims";
const jwtFilter = "envoy.filters.http.jwt_authn";
const payloadKey = "payload";

/** Path of the claim that a header name stands for; undefined for real headers. */
export function parseClaimHeader(name: string): readonly string[] | undefined {
  if (!name.toLowerCase().startsWith(headerPrefix)) return undefined;
  const rest = name.slice(headerPrefix.length);
  // A separator alone names no claim: then it is a header like any other.
  if (rest.startsWith(".") && rest.length > 1) return rest.slice(1).split(".");
  if (rest.startsWith("[") && rest.endsWith("]") && rest.length > 2) return rest.slice(1, -1).split("][");
  return undefined;
}

/** Matches a claim that is the text or a list that holds the text. */
export function buildClaimMatcher(claims: readonly string[], match: StringMatch, invert: boolean): MetadataMatcher {
  const value: ValueMatcher = isPresenceMatch(match)
    ? { present_match: true }
    : { string_match: buildStringMatcher(match) };
  return {
    filter: jwtFilter,
    path: [payloadKey, ...claims].map((key) => ({ key })),
    value: { or_match: { value_matchers: [{ list_match: { one_of: value } }, value] } },
    ...(invert ? { invert } : {}),
  };
}
