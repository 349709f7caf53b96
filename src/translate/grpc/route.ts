/**
 * Route configurations of gRPC clients: those of sidecars, cut down to what gRPC takes. It refuses a whole configuration
 * for one field that it does not know (gRPC proposal A28), so routes that it cannot follow are left out.
 */
import type {
  HeaderMatcher,
  Route,
  RouteAction,
  RouteConfiguration,
  RouteMatch,
  VirtualHost,
} from "@meltemi/protos/envoy/config/route/v3";
import { createSlotMemo } from "../../lib/slot-memo.ts";
import type { Built } from "../built.ts";
import { buildOutboundClusterName, buildServiceRouteName, parseClusterName } from "../names.ts";
import { routeConfiguration } from "../routes/route-configuration.ts";
import type { ScopeView } from "../scope.ts";

const faultFilter = "envoy.filters.http.fault";
const memo = createSlotMemo<Built<RouteConfiguration>>();

/** Routes of a service's port by the name of its cluster; undefined where the scope has no such service and port. */
export function buildGrpcRoute(view: ScopeView, name: string): Built<RouteConfiguration> | undefined {
  const parsed = parseClusterName(name);
  if (parsed === undefined || parsed.direction !== "outbound" || parsed.dnsSrv) return undefined;
  const { hostname, port } = parsed;
  const service = view.findService(hostname);
  if (service === undefined || !service.ports.some(({ number }) => number === port)) return undefined;
  const whole = routeConfiguration(view, buildServiceRouteName(hostname, port));
  return memo({ owner: whole.message, slot: name }, [service], () => {
    const hosts = (whole.message.virtual_hosts ?? []).map(convertHost).filter(({ routes = [] }) => routes.length > 0);
    const fallback: VirtualHost = {
      name: `${hostname}:${port}`,
      domains: ["*"],
      routes: [{ match: { prefix: "" }, route: { cluster: buildOutboundClusterName(hostname, port) } }],
    };
    const sources = whole.sources.length > 0 ? whole.sources : [service.object];
    return { name, message: { name, virtual_hosts: hosts.length === 0 ? [fallback] : hosts }, sources };
  });
}

/** The client asks for one service, so whatever it calls it by, its routes are meant. */
function convertHost(host: VirtualHost): VirtualHost {
  const routes = (host.routes ?? []).map(convertRoute).filter((route) => route !== undefined);
  return { name: host.name, domains: ["*"], routes };
}

function convertRoute(route: Route): Route | undefined {
  const match = route.match === undefined ? undefined : convertMatch(route.match);
  const action = route.route === undefined ? undefined : convertAction(route.route);
  if (match === undefined || action === undefined) return undefined;
  const fault = route.typed_per_filter_config?.[faultFilter];
  return {
    ...(route.name === undefined ? {} : { name: route.name }),
    match,
    route: action,
    ...(fault === undefined ? {} : { typed_per_filter_config: { [faultFilter]: fault } }),
  };
}

function convertMatch(match: RouteMatch): RouteMatch | undefined {
  if ((match.query_parameters ?? []).length > 0) return undefined;
  const path = convertPath(match);
  const headers = (match.headers ?? []).map(convertHeader);
  const known = headers.filter((header) => header !== undefined);
  if (path === undefined || known.length < headers.length) return undefined;
  return {
    ...path,
    ...(match.case_sensitive === undefined ? {} : { case_sensitive: match.case_sensitive }),
    ...(known.length === 0 ? {} : { headers: known }),
    ...(match.runtime_fraction === undefined ? {} : { runtime_fraction: match.runtime_fraction }),
  };
}

function convertPath({ prefix, path, safe_regex, path_separated_prefix }: RouteMatch): RouteMatch | undefined {
  if (prefix !== undefined) return { prefix };
  if (path !== undefined) return { path };
  if (safe_regex !== undefined) return { safe_regex };
  // Paths of gRPC are "/service/method": one that is the prefix itself, without a slash after it, cannot be.
  return path_separated_prefix === undefined ? undefined : { prefix: `${path_separated_prefix}/` };
}

/** gRPC reads the older fields of header matches and not `string_match`. */
function convertHeader(header: HeaderMatcher): HeaderMatcher | undefined {
  const { string_match: text, ...rest } = header;
  if (text === undefined) return header;
  if (text.ignore_case === true) return undefined;
  if (text.exact !== undefined) return { ...rest, exact_match: text.exact };
  if (text.prefix !== undefined) return { ...rest, prefix_match: text.prefix };
  if (text.suffix !== undefined) return { ...rest, suffix_match: text.suffix };
  return text.safe_regex === undefined ? undefined : { ...rest, safe_regex_match: text.safe_regex };
}

/** gRPC takes its timeout from max_stream_duration (row X74); what it does not know of an action it must not see. */
function convertAction(action: RouteAction): RouteAction | undefined {
  const { cluster, weighted_clusters: weighted, timeout, retry_policy: retry, hash_policy: hash } = action;
  if (cluster === undefined && weighted === undefined) return undefined;
  const clusters = (weighted?.clusters ?? []).map(({ name, weight }) => ({ name, weight }));
  const isUnset = timeout === undefined || Number(timeout.seconds ?? 0) + (timeout.nanos ?? 0) === 0;
  const retries = retry?.num_retries?.value ?? 0;
  return {
    ...(cluster === undefined ? { weighted_clusters: { clusters } } : { cluster }),
    ...(isUnset ? {} : { max_stream_duration: { max_stream_duration: timeout } }),
    ...(retry === undefined || retries < 1
      ? {}
      : { retry_policy: { retry_on: retry.retry_on, num_retries: { value: retries } } }),
    ...(hash === undefined ? {} : { hash_policy: hash }),
  };
}
