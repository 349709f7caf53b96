/** Where redirects lead (RedirectAction of Envoy's API; newUri in its router). */
import type { RedirectAction, RouteMatch } from "@meltemi/protos/envoy/config/route/v3";
import type { HttpRequest } from "./http-request.ts";
import { splitPath } from "./request-path.ts";
import { rewritePath } from "./rewrite.ts";

const statuses = {
  MOVED_PERMANENTLY: 301,
  FOUND: 302,
  SEE_OTHER: 303,
  TEMPORARY_REDIRECT: 307,
  PERMANENT_REDIRECT: 308,
} as const satisfies Record<NonNullable<RedirectAction["response_code"]>, number>;

export interface Redirect {
  readonly status: number;
  readonly location: string;
}

export function buildRedirect(action: RedirectAction, match: RouteMatch, request: HttpRequest): Redirect {
  const scheme = action.scheme_redirect || (action.https_redirect === true ? "https" : request.scheme);
  const port = action.port_redirect ? `:${action.port_redirect}` : "";
  const host = action.host_redirect || keepHost(request, scheme, port !== "");
  const status = statuses[action.response_code ?? "MOVED_PERMANENTLY"];
  return { status, location: `${scheme}://${host}${port}${buildPath(action, match, request)}` };
}

/** What virtual hosts that require TLS answer. */
export function redirectToTls(request: HttpRequest): Redirect {
  return { status: 301, location: `https://${keepHost(request, "https", false)}${request.path}` };
}

/** The request's host; its port goes where another one comes, and where it was the default of the scheme it came by. */
function keepHost({ host, forwardedProto }: HttpRequest, scheme: string, hasNewPort: boolean): string {
  const [port] = /:\d+$/.exec(host) ?? [];
  if (port === undefined) return host;
  const defaultPort = forwardedProto === "https" ? ":443" : ":80";
  const isDropped = hasNewPort || (scheme !== forwardedProto && port === defaultPort);
  return isDropped ? host.slice(0, -port.length) : host;
}

/** A new path keeps the request's query, unless it has one itself. */
function buildPath(action: RedirectAction, match: RouteMatch, request: HttpRequest): string {
  const { path_redirect: fixed } = action;
  if (fixed?.includes("?")) return fixed;
  const { query } = splitPath(request.path);
  const path = fixed ? fixed + query : rewritePath(action, match, request.path);
  return action.strip_query === true ? splitPath(path).path : path;
}
