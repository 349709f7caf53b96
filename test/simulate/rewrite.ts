/** Path and authority as the upstream sees them (RouteAction of Envoy's API). */
import type { RouteAction, RouteMatch } from "@meltemi/protos/envoy/config/route/v3";
import { type HttpRequest, readHeader } from "./http-request.ts";
import { splitPath } from "./request-path.ts";
import { substitute } from "./text-match.ts";

/** Puts the rewrite in place of what the match has matched; the query stays. */
export function rewritePath(
  action: Pick<RouteAction, "prefix_rewrite" | "regex_rewrite">,
  match: RouteMatch,
  full: string,
): string {
  const { path, query } = splitPath(full);
  if (action.regex_rewrite !== undefined) return substitute(action.regex_rewrite, path) + query;
  if (!action.prefix_rewrite) return full;
  // An exact path and an expression are matched as a whole.
  const matched = match.prefix ?? match.path_separated_prefix ?? path;
  return action.prefix_rewrite + path.slice(matched.length) + query;
}

/** The literal of the destination goes before that of the route. */
export function rewriteHost(
  action: RouteAction,
  request: HttpRequest,
  destination: { readonly host_rewrite_literal?: string | undefined },
): string {
  const literal = destination.host_rewrite_literal || action.host_rewrite_literal;
  if (literal) return literal;
  if (action.host_rewrite_header) return readHeader(request, action.host_rewrite_header) ?? request.host;
  if (action.host_rewrite_path_regex !== undefined)
    return substitute(action.host_rewrite_path_regex, splitPath(request.path).path);
  return action.auto_host_rewrite?.value === true ? "(name of the endpoint)" : request.host;
}
