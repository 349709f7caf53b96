/** Makes of a request the one that an upstream's redirect asks for, where the route lets the proxy follow it. */
import { bodyOf } from "../http/body.ts";
import type { Exchange } from "../http/exchange.ts";
import type { HeaderList } from "../http/header-list.ts";
import type { FilterStateObject } from "../http/stream-info.ts";
import type { Counter } from "../lib/stats.ts";
import type { UpstreamResponse } from "../upstream/types.ts";
import type { ClusterCounters } from "./cluster-counters.ts";
import type { InternalRedirectPolicy, RedirectTarget } from "./internal-redirect.ts";
import { parseLocation } from "./redirect-location.ts";
import type { RouterEnv } from "./router-env.ts";

export interface RedirectContext {
  readonly exchange: Exchange;
  readonly policy: InternalRedirectPolicy;
  readonly routeName: string;
  /** The request's body, where all of it is there. */
  readonly body: { readonly bytes: Uint8Array; readonly trailers: HeaderList | undefined } | undefined;
  /** False where the client has not sent everything, or where its body is not kept. */
  readonly isWhole: boolean;
  readonly counters: RouterEnv["counters"];
  readonly cluster: ClusterCounters;
}

const stateKey = "envoy.internal_redirect";

interface RedirectState {
  readonly count: number;
  readonly previous: RedirectTarget["previous"];
}

/** True where the request has been changed, and is to be led through all filters again. */
export function followRedirect(response: UpstreamResponse, context: RedirectContext): boolean {
  const isFollowed = context.isWhole && changeRequest(response, context);
  const { upstream_internal_redirect_succeeded_total: succeeded, upstream_internal_redirect_failed_total: failed } =
    context.cluster.counters;
  (isFollowed ? succeeded : failed).inc();
  return isFollowed;
}

function changeRequest(response: UpstreamResponse, context: RedirectContext): boolean {
  const { exchange, policy, counters, routeName } = context;
  const { request, info } = exchange;
  const location = parseLocation(response.headers.joined("location") ?? "");
  if (location === undefined) return refuse(counters.passthrough_internal_redirect_bad_location);
  const toScheme = location.isHttp ? "http" : "https";
  if (!policy.allowsCrossScheme && toScheme !== (exchange.connection.tls === undefined ? "http" : "https")) {
    return refuse(counters.passthrough_internal_redirect_unsafe_scheme);
  }
  const state = readState(info.filterState.get(stateKey));
  if (state.count >= policy.maxRedirects) return refuse(counters.passthrough_internal_redirect_too_many_redirects);
  const previous = [...state.previous, { policy, routeName }];
  const former = { ...request, headers: request.headers.clone() };
  request.authority = location.authority;
  request.path = location.path;
  request.scheme = toScheme;
  for (const name of policy.headersToCopy) copyHeader(name, response.headers, request.headers);
  exchange.clearRoute();
  const { route } = exchange;
  const target = { fromScheme: former.scheme, toScheme, routeName: route?.name ?? "", previous };
  const isAllowed = route !== undefined && policy.predicates.every((predicate) => predicate(target, policy));
  if (!isAllowed) {
    Object.assign(request, former);
    exchange.clearRoute();
    // The answer goes to the client, but access logs tell the route that was looked for last.
    if (route === undefined) Object.assign(info, { routeName: "", clusterName: "" });
    const { passthrough_internal_redirect_no_route: noRoute, passthrough_internal_redirect_predicate: denied } =
      counters;
    return refuse(route === undefined ? noRoute : denied);
  }
  finishRequest(exchange, response.status, { former, body: context.body });
  info.responseCode = response.status;
  info.responseCodeDetails = "internal_redirect";
  info.filterState.set(stateKey, { text: String(state.count + 1), value: { count: state.count + 1, previous } });
  return true;
}

/** 303 asks for a GET without a body; all others keep the method. */
function finishRequest(
  { request }: Exchange,
  status: number,
  { former, body }: { readonly former: Exchange["request"]; readonly body: RedirectContext["body"] },
): void {
  request.headers.set("x-envoy-original-url", `${former.scheme}://${former.authority}${former.path}`);
  request.body = body && bodyOf(body.bytes, body.trailers);
  if (status !== 303 || request.method === "GET" || request.method === "HEAD") return;
  request.method = "GET";
  request.body = undefined;
  for (const name of ["content-length", "transfer-encoding", "content-type"]) request.headers.remove(name);
}

function copyHeader(name: string, from: HeaderList, to: HeaderList): void {
  const value = from.joined(name);
  if (value === undefined) to.remove(name);
  else to.set(name, value);
}

function readState(known: FilterStateObject | undefined): RedirectState {
  // Only this file writes under that key.
  return (known?.value as RedirectState | undefined) ?? { count: 0, previous: [] };
}

function refuse(counter: Counter): false {
  counter.inc();
  return false;
}
