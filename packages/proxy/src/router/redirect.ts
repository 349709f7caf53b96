/** Redirects, and answers that a route gives itself. */
import type {
  DirectResponseAction,
  RedirectAction,
  RedirectAction_RedirectResponseCode,
} from "@meltemi/protos/envoy/config/route/v3";
import type { HttpRequest } from "../http/message.ts";
import { ConfigError, within } from "../lib/config-error.ts";
import { readDataSource } from "./data-source.ts";
import { type PathRewrite, rewriteByRegex, rewritePrefix } from "./path-rewrite.ts";
import type { CompiledMatch } from "./route-match.ts";
import { withoutPort } from "./virtual-host-index.ts";

/** An answer without an upstream. */
export interface RouteAnswer {
  readonly status: number;
  readonly body: string;
  /** Of a redirect: applied to the request before `location` is asked. */
  readonly rewritePath: PathRewrite | undefined;
  readonly location: ((request: HttpRequest) => string) | undefined;
}

const statusOfCode: Readonly<Record<RedirectAction_RedirectResponseCode, number>> = {
  MOVED_PERMANENTLY: 301,
  FOUND: 302,
  SEE_OTHER: 303,
  TEMPORARY_REDIRECT: 307,
  PERMANENT_REDIRECT: 308,
};

/** For require_tls. */
export const tlsRedirect: RouteAnswer = {
  status: 301,
  body: "",
  rewritePath: undefined,
  location: (request) => `https://${request.authority}${request.path}`,
};

/** Throws ConfigError. `limit` is the most bytes that a body may have. */
export function compileDirectResponse(wire: DirectResponseAction, limit: number): RouteAnswer {
  const { status = 0, body } = wire;
  if (status < 200 || status > 599) throw new ConfigError("status", `${status} is not between 200 and 599`);
  const bytes = body && within("body", () => readDataSource(body));
  if (bytes !== undefined && bytes.length > limit) {
    throw new ConfigError("body", `has ${bytes.length} bytes, more than the limit of ${limit}`);
  }
  return {
    status,
    body: bytes ? Buffer.from(bytes).toString() : "",
    rewritePath: undefined,
    // Where such answers have to name something, it is what was asked for.
    location: status === 201 || (status >= 300 && status < 400) ? locationOf : undefined,
  };
}

function locationOf({ scheme, authority, path }: HttpRequest): string {
  return `${scheme}://${authority}${path}`;
}

/** Throws ConfigError. */
export function compileRedirect(wire: RedirectAction, match: CompiledMatch): RouteAnswer {
  return {
    status: statusOfCode[wire.response_code ?? "MOVED_PERMANENTLY"],
    body: "",
    rewritePath: compileRewrite(wire, match),
    location: compileLocation(wire),
  };
}

function compileRewrite(wire: RedirectAction, match: CompiledMatch): PathRewrite | undefined {
  const { regex_rewrite: regex, prefix_rewrite: prefix } = wire;
  if (regex !== undefined) return within("regex_rewrite", () => rewriteByRegex(regex));
  return prefix === undefined || prefix === "" ? undefined : rewritePrefix(prefix, match);
}

function compileLocation(wire: RedirectAction): (request: HttpRequest) => string {
  const scheme = wire.scheme_redirect || (wire.https_redirect === true ? "https" : "");
  const port = (wire.port_redirect ?? 0) === 0 ? "" : `:${wire.port_redirect}`;
  const path = wire.path_redirect ?? "";
  const hasQuery = path.includes("?");
  const stripsQuery = wire.strip_query === true && !hasQuery;
  return (request) => {
    const newScheme = scheme || request.scheme;
    const host = wire.host_redirect || keptHost(request, newScheme, port !== "");
    let newPath = path === "" ? request.path : path;
    if (path !== "" && !hasQuery) newPath += queryOf(request.path);
    if (!newPath.startsWith("/")) newPath = `/${newPath}`;
    if (stripsQuery) newPath = newPath.split("?", 1)[0] ?? "";
    return `${newScheme}://${host}${port}${newPath}`;
  };
}

/** The host as it was asked for; without its port where another is given, or where it was that of the former scheme. */
function keptHost({ authority, headers, scheme }: HttpRequest, newScheme: string, hasNewPort: boolean): string {
  const host = withoutPort(authority);
  if (host === authority || hasNewPort) return host;
  const former = headers.get("x-forwarded-proto") ?? scheme;
  const isDefault = authority.slice(host.length) === (former === "https" ? ":443" : ":80");
  return newScheme !== former && isDefault ? host : authority;
}

function queryOf(path: string): string {
  const start = path.indexOf("?");
  return start < 0 ? "" : path.slice(start);
}
