/** Istio's StringMatch as Envoy's matchers. Regular expressions are RE2 on both sides and match the whole text. */
import type { StringMatcher } from "@meltemi/protos/envoy/type/matcher/v3";
import type { StringMatch } from "../../api/virtual-service/schema.ts";

/**
 * True where a match asks only that something is there: an empty match, and the regex "*", which is no RE2 but an old
 * way to write "any" (Istio: route.go canBeConvertedToPresentMatch). Envoy refuses an empty regex, so it counts too.
 */
export function isPresenceMatch(match: StringMatch): boolean {
  if (match.exact !== undefined || match.prefix !== undefined) return false;
  return match.regex === undefined || match.regex === "*" || match.regex === "";
}

/** The matcher of a text. A match without a condition matches nothing but the empty prefix: everything. */
export function buildStringMatcher(match: StringMatch): StringMatcher {
  if (match.exact !== undefined) return { exact: match.exact };
  if (match.prefix !== undefined) return { prefix: match.prefix };
  if (match.regex !== undefined) return { safe_regex: { regex: match.regex } };
  return { prefix: "" };
}
