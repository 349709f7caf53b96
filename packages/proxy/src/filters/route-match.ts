/** Matches of requests as routes have them, for filters that choose by them. */

import type { RouteMatch } from "@meltemi/protos/envoy/config/route/v3";
import type { HttpRequest } from "../http/message.ts";
import { ConfigError, compileAll, within } from "../lib/config-error.ts";
import { wrappedBool } from "../lib/wrapped.ts";
import { compileHeaderMatcher } from "../matchers/header-matcher.ts";
import { pathOnly } from "../matchers/path-matcher.ts";
import { compileQueryMatcher } from "../matchers/query-matcher.ts";
import { compileRegexMatcher } from "../matchers/string-matcher.ts";

type Matches = (request: HttpRequest) => boolean;

/** A test of requests. Throws ConfigError, also for what filters cannot use of a route's match. */
export function compileRouteMatch(wire: RouteMatch): Matches {
  for (const field of ["grpc", "runtime_fraction", "tls_context", "dynamic_metadata", "path_match_policy"] as const) {
    if (wire[field] !== undefined) throw new ConfigError(field, "is not supported in the match of a filter");
  }
  const matchesPath = compilePath(wire);
  const others: readonly Matches[] = [
    ...compileAll("headers", wire.headers, compileHeaderMatcher),
    ...compileAll("query_parameters", wire.query_parameters, compileQueryMatcher).map(
      (matches): Matches =>
        ({ path }) =>
          matches(path),
    ),
  ];
  if (others.length === 0) return matchesPath;
  return (request) => matchesPath(request) && others.every((matches) => matches(request));
}

function compilePath(wire: RouteMatch): Matches {
  const isExact = wrappedBool(wire.case_sensitive, true);
  const fold = (text: string): string => (isExact ? text : text.toLowerCase());
  if (wire.prefix !== undefined) {
    const prefix = fold(wire.prefix);
    return ({ path }) => fold(path).startsWith(prefix);
  }
  if (wire.path !== undefined) {
    const whole = fold(wire.path);
    return ({ path }) => fold(pathOnly(path)) === whole;
  }
  if (wire.path_separated_prefix !== undefined) {
    const prefix = fold(wire.path_separated_prefix);
    return ({ path }) => {
      const plain = fold(pathOnly(path));
      return plain.startsWith(prefix) && (plain.length === prefix.length || plain[prefix.length] === "/");
    };
  }
  const { safe_regex: regex } = wire;
  if (regex) {
    const matches = within("safe_regex", () => compileRegexMatcher(regex));
    return ({ path }) => matches(pathOnly(path));
  }
  if (wire.connect_matcher) return ({ method }) => method === "CONNECT";
  throw new ConfigError("", "a path_specifier is required");
}
