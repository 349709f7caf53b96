/** Route tables: a RouteConfiguration becomes closures that find routes for requests. */
import type { RouteConfiguration, VirtualHost } from "@meltemi/protos/envoy/config/route/v3";
import type { Exchange } from "../http/exchange.ts";
import { ConfigError, compileAll } from "../lib/config-error.ts";
import { wrappedBool, wrappedNumber } from "../lib/wrapped.ts";
import { compileMutations, compileRoute, type RouteEntry, type RouteLevels } from "./compile-route.ts";
import type { CompiledRoute } from "./compiled-route.ts";
import { compileFilterLevel, viewFilters } from "./filter-levels.ts";
import { compileMirrorPolicy } from "./mirror-policy.ts";
import { tlsRedirect } from "./redirect.ts";
import type { RouteEnv, RouteTable } from "./types.ts";
import { validateClusters } from "./validate-clusters.ts";
import { compileVirtualClusters } from "./virtual-clusters.ts";
import { createVirtualHostIndex } from "./virtual-host-index.ts";

type FindRoute = (exchange: Exchange) => CompiledRoute | undefined;

type TableLevels = Omit<RouteLevels, "wire" | "rules">;

const defaultMaxBodyBytes = 4096;

/** Compiles a route table. Throws ConfigError with the path of what cannot be used. */
export function compileRouteTable(wire: RouteConfiguration, env: RouteEnv): RouteTable {
  if (wire.vhds !== undefined) throw new ConfigError("vhds", "is not supported");
  for (const [index, plugin] of (wire.cluster_specifier_plugins ?? []).entries()) {
    if (plugin.is_optional !== true) throw new ConfigError(`cluster_specifier_plugins[${index}]`, "is not supported");
  }
  const levels = compileTableLevels(wire, env);
  const hosts = compileAll("virtual_hosts", wire.virtual_hosts, (host) => ({
    domains: host.domains ?? [],
    value: compileVirtualHost(host, levels, env),
  }));
  const index = createVirtualHostIndex(hosts, { ignoresPort: wire.ignore_port_in_host_matching === true });
  if (wrappedBool(wire.validate_clusters, env.validateClusters ?? false)) {
    validateClusters(wire, env.hasCluster ?? ((name) => env.clusters.find(name) !== undefined));
  }
  return {
    name: wire.name ?? "",
    wire,
    find: (exchange) => index.find(exchange.request.authority)?.(exchange),
  };
}

function compileTableLevels(wire: RouteConfiguration, env: RouteEnv): TableLevels {
  return {
    filterLevels: [compileFilterLevel(wire.typed_per_filter_config, env)],
    requestMutations: { host: undefined, table: compileMutations(wire, "request", env) },
    responseMutations: { host: undefined, table: compileMutations(wire, "response", env) },
    tableMirrors: compileAll("request_mirror_policies", wire.request_mirror_policies, (one) =>
      compileMirrorPolicy(one, env),
    ),
    ignoresPathParameters: wire.ignore_path_parameters_in_path_matching === true,
    maxBodyBytes: wrappedNumber(wire.max_direct_response_body_size_bytes, defaultMaxBodyBytes),
    closestWins: wire.most_specific_header_mutations_wins === true,
  };
}

function compileVirtualHost(wire: VirtualHost, table: TableLevels, env: RouteEnv): FindRoute {
  if ((wire.name ?? "") === "") throw new ConfigError("name", "must not be empty");
  if ((wire.domains?.length ?? 0) === 0) throw new ConfigError("domains", "must not be empty");
  if (wire.matcher !== undefined) throw new ConfigError("matcher", "is not supported");
  const levels: RouteLevels = {
    ...table,
    wire,
    rules: {
      countsAttemptsInRequest: wire.include_request_attempt_count === true,
      countsAttemptsInResponse: wire.include_attempt_count_in_response === true,
      marksTimeoutRetries: wire.include_is_timeout_retry_header === true,
      findVirtualCluster: compileVirtualClusters(wire, env.stats),
    },
    filterLevels: [compileFilterLevel(wire.typed_per_filter_config, env), ...table.filterLevels],
    requestMutations: { ...table.requestMutations, host: compileMutations(wire, "request", env) },
    responseMutations: { ...table.responseMutations, host: compileMutations(wire, "response", env) },
  };
  const entries = compileAll("routes", wire.routes, (route) => compileRoute(route, levels, env));
  return requireTls(wire, levels.rules, findAmong(entries));
}

function findAmong(entries: readonly RouteEntry[]): FindRoute {
  const [only] = entries;
  if (only !== undefined && entries.length === 1) {
    return (exchange) => (only.matches(exchange) ? only.choose(exchange) : undefined);
  }
  return (exchange) => {
    for (const entry of entries) if (entry.matches(exchange)) return entry.choose(exchange);
    return undefined;
  };
}

/** Requests that did not come by TLS are sent there; EXTERNAL_ONLY spares those from within the mesh. */
function requireTls(wire: VirtualHost, host: RouteLevels["rules"], find: FindRoute): FindRoute {
  const requirement = wire.require_tls ?? "NONE";
  if (requirement === "NONE") return find;
  const redirect: CompiledRoute = {
    name: "",
    virtualHost: wire.name ?? "",
    virtualHostWire: wire,
    metadata: {},
    decorator: undefined,
    action: { kind: "redirect" },
    // As for Envoy it is no route of the virtual host: filters do what they do without one.
    ...viewFilters([]),
    rules: { requestMutations: [], responseMutations: [], host, answer: tlsRedirect, forward: undefined },
  };
  return (exchange) => {
    const { headers, scheme } = exchange.request;
    const isTls = (headers.get("x-forwarded-proto") ?? scheme) === "https";
    const isSpared = requirement === "EXTERNAL_ONLY" && headers.get("x-envoy-internal") === "true";
    return isTls || isSpared ? find(exchange) : redirect;
  };
}
