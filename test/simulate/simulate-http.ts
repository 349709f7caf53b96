/** A request on a chain that ends in an HTTP connection manager. */
import type { RouteConfiguration, VirtualHost } from "@meltemi/protos/envoy/config/route/v3";
import type { HttpConnectionManager } from "@meltemi/protos/envoy/extensions/filters/network/http_connection_manager/v3";
import type { PlannedCall } from "./call.ts";
import { type HttpRequest, prepareRequest } from "./http-request.ts";
import { isInRange } from "./ip-range.ts";
import type { Accepted, Answered, HttpForwarded, Outcome, Redirected, Routed } from "./outcome.ts";
import { redirectToTls } from "./redirect.ts";
import type { ProxyResources } from "./resources.ts";
import { act } from "./route-action.ts";
import { findMismatch } from "./route-match.ts";
import type { Note } from "./trace.ts";
import { findVirtualHost, needsTls } from "./virtual-host.ts";

// What HCM counts as internal where nothing else is configured.
const privateRanges = [
  { address_prefix: "10.0.0.0", prefix_len: { value: 8 } },
  { address_prefix: "172.16.0.0", prefix_len: { value: 12 } },
  { address_prefix: "192.168.0.0", prefix_len: { value: 16 } },
  { address_prefix: "127.0.0.0", prefix_len: { value: 8 } },
];

export interface HttpContext {
  readonly resources: ProxyResources;
  readonly call: PlannedCall;
  readonly accepted: Accepted;
  readonly note: Note;
}

/** What the connection manager does with the call. */
export function simulateHttp(manager: HttpConnectionManager, context: HttpContext): Outcome {
  const { call, accepted, note } = context;
  if (accepted.tls === "passthrough")
    return { result: "closed", reason: "TLS where plain text is needed", ...accepted };
  if (call.protocol === "tcp") return { result: "closed", reason: "not HTTP", ...accepted };
  const request = prepareRequest(manager, call, accepted.tls === "terminated");
  note(`request: ${request.method} ${request.scheme}://${request.host}${request.path}`);
  const configuration = findRoutes(manager, context.resources);
  const routes = manager.rds?.route_config_name ?? configuration?.name ?? "";
  note(`route configuration: "${routes}"${configuration === undefined ? ", which the proxy does not have" : ""}`);
  if (configuration === undefined) return answerNoRoute({ ...accepted, routes });
  const host = findVirtualHost(configuration, request.host);
  note(`virtual host: ${host === undefined ? `none for ${request.host}` : host.name}`);
  if (host === undefined) return answerNoRoute({ ...accepted, routes });
  const routed = { ...accepted, routes, virtualHost: host.name ?? "" };
  return routeRequest({ configuration, host, request, routed }, context);
}

interface Routing {
  readonly configuration: RouteConfiguration;
  readonly host: VirtualHost;
  readonly request: HttpRequest;
  readonly routed: Routed;
}

function routeRequest(routing: Routing, { resources, call, note }: HttpContext): HttpForwarded | Redirected | Answered {
  const { configuration, host, request, routed } = routing;
  const isInternal = privateRanges.some((range) => isInRange(range, call.from.host));
  if (needsTls(host, request.forwardedProto, isInternal)) {
    note("redirected to https: the virtual host requires TLS");
    return { result: "redirect", ...routed, ...redirectToTls(request), responseHeaders: {} };
  }
  if (host.matcher !== undefined) throw new Error(`virtual host ${host.name}: matcher is not simulated`);
  for (const [index, route] of (host.routes ?? []).entries()) {
    const label = route.name || `#${index}`;
    const mismatch = findMismatch(route.match ?? {}, request);
    note(`route ${label}: ${mismatch === undefined ? "matches" : `not by its ${mismatch}`}`);
    if (mismatch === undefined)
      return act({ configuration, host, route }, { resources, request, routed: { ...routed, route: label } });
  }
  return answerNoRoute(routed);
}

function findRoutes(manager: HttpConnectionManager, resources: ProxyResources): RouteConfiguration | undefined {
  if (manager.scoped_routes !== undefined) throw new Error("scoped routes are not simulated");
  return manager.route_config ?? resources.routes.get(manager.rds?.route_config_name ?? "");
}

function answerNoRoute(routed: Routed): Answered {
  return { result: "answer", status: 404, body: "", flags: "NR", responseHeaders: {}, ...routed };
}
