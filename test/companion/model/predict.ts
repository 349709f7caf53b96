/** The answers that a configuration has for a request: the model that the proxy is held against. Pure. */
import type { Expectation } from "./expectation.ts";
import { findHost, findRoute, matchesHeader, withoutQuery } from "./match-route.ts";
import { changeHeaders } from "./mutate-headers.ts";
import { predictForward } from "./predict-forward.ts";
import { responseHeaders } from "./request.ts";
import { rewritePrefix } from "./rewrite-path.ts";
import { type RouteFound, reply, type Situation } from "./situation.ts";
import type { Fault, Redirect, RouteSpec } from "./world.ts";

/** Answers of which any may come. */
export function predict(situation: Situation): readonly Expectation[] {
  const { chain, table, request } = situation;
  const host = findHost(table, request.host);
  if (host?.requiresTls === true && chain.secret === undefined) {
    return applyFilters(situation, undefined, () => [
      { ...reply(chain, 301), headers: {}, location: `https://${request.host}${request.path}` },
    ]);
  }
  const route = host === undefined ? undefined : findRoute(host, request);
  if (host === undefined || route === undefined) return applyFilters(situation, undefined, () => [reply(chain, 404)]);
  return applyFilters(situation, { host, route }, () => act(situation, { host, route }));
}

function applyFilters(
  situation: Situation,
  found: RouteFound | undefined,
  next: () => readonly Expectation[],
): readonly Expectation[] {
  const { chain, request } = situation;
  let delayMs = 0;
  for (const filter of chain.filters) {
    if (filter === "rbac" && isDenied(situation, found)) {
      return [{ ...reply(chain, 403, "RBAC: access denied"), leastMs: delayMs }];
    }
    const fault = filter === "fault" ? faultOf(situation, found) : undefined;
    if (fault === undefined || (fault.header !== undefined && !matchesHeader(fault.header, request.headers))) continue;
    delayMs = fault.delayMs ?? 0;
    if (fault.abort !== undefined) return [{ ...reply(chain, fault.abort, "fault filter abort"), leastMs: delayMs }];
  }
  return next().map((each) => (each.kind === "refused" ? each : { ...each, leastMs: each.leastMs + delayMs }));
}

function isDenied({ chain, request }: Situation, found: RouteFound | undefined): boolean {
  const override = found?.route.filters.rbac ?? found?.host.filters.rbac;
  if (override !== undefined) return override.kind === "deny" && matchesHeader(override.header, request.headers);
  return chain.denies !== undefined && matchesHeader(chain.denies, request.headers);
}

function faultOf({ chain }: Situation, found: RouteFound | undefined): Fault | undefined {
  return found?.route.filters.fault ?? found?.host.filters.fault ?? chain.fault;
}

function act(situation: Situation, found: RouteFound): readonly Expectation[] {
  const { chain, table } = situation;
  const { route, host } = found;
  const { action } = route;
  if (action.kind === "forward") return predictForward(situation, found, action);
  const levels = [route.mutations, host.mutations, table.mutations];
  const headers = changeHeaders(
    {},
    levels.map(({ response, responseRemoved }) => ({ changes: response, removed: responseRemoved })),
    responseHeaders,
  );
  if (action.kind === "direct") return [{ ...reply(chain, action.status, action.body), headers }];
  return [{ ...reply(chain, action.status), headers, location: locate(situation, route, action) }];
}

function locate({ chain, request }: Situation, { match }: RouteSpec, action: Redirect): string {
  const scheme = action.isToHttps || chain.secret !== undefined ? "https" : "http";
  const path = withoutQuery(request.path);
  const query = action.stripsQuery ? "" : request.path.slice(path.length);
  const target = action.path;
  const rewritten = target?.kind === "prefix" ? rewritePrefix(match, path, target.to) : (target?.to ?? path);
  return `${scheme}://${action.host ?? request.host}${rewritten}${query}`;
}
