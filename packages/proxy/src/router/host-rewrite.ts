/** Rewrites of the host that a request names. */
import type { RouteAction } from "@meltemi/protos/envoy/config/route/v3";
import type { HttpRequest } from "../http/message.ts";
import { within } from "../lib/config-error.ts";
import { pathOnly } from "../matchers/path-matcher.ts";
import { compileReplacement } from "../matchers/regex.ts";

export type HostRewrite = (request: HttpRequest) => string | undefined;

/** Undefined where the host stays (or is rewritten when the upstream's host is known). Throws ConfigError. */
export function compileHostRewrite(wire: RouteAction): HostRewrite | undefined {
  const { host_rewrite_literal: literal, host_rewrite_header: header, host_rewrite_path_regex: regex } = wire;
  if (literal !== undefined && literal !== "") return () => literal;
  if (header !== undefined && header !== "") {
    const name = header.toLowerCase();
    return ({ headers }) => headers.get(name) || undefined;
  }
  if (regex === undefined) return undefined;
  const replace = within("host_rewrite_path_regex", () =>
    compileReplacement(regex.pattern?.regex ?? "", regex.substitution ?? ""),
  );
  return ({ path }) => replace(pathOnly(path));
}

export interface HostOptions {
  readonly appendsForwardedHost: boolean;
  readonly tellsOriginal: boolean;
}

/** Gives a request another host; the former is told to the upstream. */
export function updateAuthority(request: HttpRequest, authority: string, options: HostOptions): void {
  const { appendsForwardedHost, tellsOriginal } = options;
  const { headers, authority: former } = request;
  if (tellsOriginal) headers.set("x-envoy-original-host", former);
  if (appendsForwardedHost && former !== "") {
    const known = headers.joined("x-forwarded-host");
    headers.set("x-forwarded-host", known === undefined ? former : `${known},${former}`);
  }
  request.authority = authority;
}
