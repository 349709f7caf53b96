import type { RouteMatch } from "./world.ts";

/** A path (without query) with what its route matched replaced: an exact path or a regular expression matched all of it. */
export function rewritePrefix(match: RouteMatch, path: string, to: string): string {
  return match.kind === "exact" || match.kind === "regex" ? to : to + path.slice(match.path.length);
}
