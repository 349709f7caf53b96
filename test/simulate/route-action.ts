/** What a matched route does with a request. */
import { durationToMs, unpackAs } from "@meltemi/protos";
import type {
  Route,
  RouteAction,
  RouteConfiguration,
  VirtualHost,
  WeightedCluster_ClusterWeight,
} from "@meltemi/protos/envoy/config/route/v3";
import { describeCluster } from "./cluster.ts";
import { changeHeaders, type HeaderLevel, listRemoved } from "./header-operations.ts";
import { type HttpRequest, readHeader } from "./http-request.ts";
import type { Answered, Fault, HttpForwarded, Redirected, Routed, Upstream } from "./outcome.ts";
import { buildRedirect } from "./redirect.ts";
import type { ProxyResources } from "./resources.ts";
import { rewriteHost, rewritePath } from "./rewrite.ts";
import { toPercent } from "./route-match.ts";

/** Envoy's default for a route that says nothing. */
const defaultTimeoutMs = 15_000;
const notFoundStatuses = { SERVICE_UNAVAILABLE: 503, NOT_FOUND: 404, INTERNAL_SERVER_ERROR: 500 } as const;

export interface MatchedRoute {
  readonly configuration: RouteConfiguration;
  readonly host: VirtualHost;
  readonly route: Route;
}

/** Carries the action out. Throws on actions that are not simulated. */
export function act(
  { configuration, host, route }: MatchedRoute,
  { resources, request, routed }: { resources: ProxyResources; request: HttpRequest; routed: Routed },
): HttpForwarded | Redirected | Answered {
  const destination = pickDestination(route.route, request);
  const levels: HeaderLevel[] = [destination, route, host, configuration];
  if (configuration.most_specific_header_mutations_wins === true) levels.reverse();
  const responseHeaders = Object.fromEntries(changeHeaders(new Map(), levels, "response"));
  if (route.redirect !== undefined)
    return {
      result: "redirect",
      ...routed,
      ...buildRedirect(route.redirect, route.match ?? {}, request),
      responseHeaders,
    };
  if (route.direct_response !== undefined) {
    const { status, body } = route.direct_response;
    const text = body?.inline_string ?? Buffer.from(body?.inline_bytes ?? []).toString();
    return { result: "answer", ...routed, status: status ?? 0, body: text, responseHeaders };
  }
  const { route: action } = route;
  if (action === undefined) throw new Error(`route ${routed.route}: its action is not simulated`);
  return {
    result: "http",
    ...routed,
    ...describeDestination(action, destination, resources),
    path: rewritePath(action, route.match ?? {}, request.path),
    host: rewriteHost(action, request, destination),
    requestHeaders: Object.fromEntries(changeHeaders(request.headers, levels, "request")),
    responseHeaders,
    responseHeadersRemoved: listRemoved(levels, "response"),
    ...describeRetries(action, host),
    mirrors: describeMirrors({ configuration, host, route }),
    ...describeFault([destination, route, host, configuration]),
  };
}

/** A destination of a weighted list, or what stands for the only one. */
type Destination = WeightedCluster_ClusterWeight;

function pickDestination(action: RouteAction | undefined, request: HttpRequest): Destination {
  const { cluster, cluster_header: header, weighted_clusters: weighted } = action ?? {};
  if (cluster !== undefined) return { name: cluster };
  if (header !== undefined) return { name: readHeader(request, header) ?? "" };
  return pickByWeight(weighted?.clusters ?? [], ({ weight }) => weight?.value ?? 0, request.sample) ?? {};
}

/** The entry that a percentage falls on when all entries stand in a row, each as wide as its weight. */
export function pickByWeight<Entry>(
  entries: readonly Entry[],
  weightOf: (entry: Entry) => number,
  sample: number,
): Entry | undefined {
  const total = entries.reduce((sum, entry) => sum + weightOf(entry), 0);
  let end = 0;
  return entries.find((entry) => {
    end += weightOf(entry);
    return (sample * total) / 100 < end;
  });
}

function describeDestination(
  action: RouteAction,
  destination: Destination,
  resources: ProxyResources,
): Upstream & Pick<HttpForwarded, "status"> {
  const upstream = describeCluster(resources, destination.name ?? "");
  const list = action.weighted_clusters?.clusters;
  const clusters = list?.map(({ name, weight }) => [name ?? "", weight?.value ?? 0] as const);
  const weights = clusters === undefined ? {} : { clusters: Object.fromEntries(clusters) };
  if (upstream.flags === undefined) return { ...upstream, ...weights };
  const missing = notFoundStatuses[action.cluster_not_found_response_code ?? "SERVICE_UNAVAILABLE"];
  return { ...upstream, ...weights, status: upstream.flags === "NC" ? missing : 503 };
}

function describeRetries(
  action: RouteAction,
  host: VirtualHost,
): Pick<HttpForwarded, "timeoutMs" | "retries" | "retryOn" | "perTryTimeoutMs"> {
  const policy = action.retry_policy ?? host.retry_policy;
  const perTry = durationToMs(policy?.per_try_timeout);
  return {
    timeoutMs: durationToMs(action.timeout) ?? defaultTimeoutMs,
    // One where the policy does not say.
    retries: policy === undefined ? 0 : (policy.num_retries?.value ?? (policy.num_retries === undefined ? 1 : 0)),
    ...(policy?.retry_on ? { retryOn: policy.retry_on } : {}),
    ...(perTry === undefined ? {} : { perTryTimeoutMs: perTry }),
  };
}

/** The most specific list counts. */
function describeMirrors({ configuration, host, route }: MatchedRoute): HttpForwarded["mirrors"] {
  const levels = [route.route, host, configuration].map((level) => level?.request_mirror_policies ?? []);
  const policies = levels.find((list) => list.length > 0) ?? [];
  return Object.fromEntries(
    policies.map(({ cluster, runtime_fraction: fraction }) => [
      cluster ?? "",
      fraction?.default_value === undefined ? 100 : toPercent(fraction.default_value),
    ]),
  );
}

function describeFault(levels: readonly Pick<Route, "typed_per_filter_config">[]): { readonly fault?: Fault } {
  const config = levels.map((level) => level.typed_per_filter_config?.["envoy.filters.http.fault"]).find(Boolean);
  const fault = config && unpackAs("envoy.extensions.filters.http.fault.v3.HTTPFault", config);
  if (fault === undefined) return {};
  const { abort, delay } = fault;
  return {
    fault: {
      ...(abort === undefined
        ? {}
        : { abortStatus: abort.http_status ?? 0, abortPercent: toPercent(abort.percentage ?? {}) }),
      ...(delay === undefined
        ? {}
        : { delayMs: durationToMs(delay.fixed_delay) ?? 0, delayPercent: toPercent(delay.percentage ?? {}) }),
    },
  };
}
