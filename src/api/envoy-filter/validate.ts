import { createFindings, type Finding, type Findings, type Path } from "../findings.ts";
import { checkExactlyOne, checkRegex } from "../rules.ts";
import { checkSelector } from "../workload-selector.ts";
import { type ApplyTo, listOperations, type Operation } from "./patch-effect.ts";
import { checkPatchValue } from "./patch-value.ts";
import { maxVersionLength } from "./proxy-version.ts";
import type { ConfigPatch, EnvoyFilterSpec, ListenerFilterMatch, PatchMatch } from "./schema.ts";

type MatchField = "listener" | "routeConfiguration" | "cluster";

const connectionManagers: readonly string[] = [
  "envoy.filters.network.http_connection_manager",
  "envoy.http_connection_manager",
];

/** The match that each kind of thing needs, where there is one; others take any. */
const matchFields: Readonly<Partial<Record<ApplyTo, MatchField>>> = {
  LISTENER: "listener",
  FILTER_CHAIN: "listener",
  NETWORK_FILTER: "listener",
  HTTP_FILTER: "listener",
  ROUTE_CONFIGURATION: "routeConfiguration",
  VIRTUAL_HOST: "routeConfiguration",
  HTTP_ROUTE: "routeConfiguration",
  CLUSTER: "cluster",
};

/** Names that filters had before Envoy 1.14 (Istio: pkg/config/xds/deprecated.go). */
const formerNames: Readonly<Record<string, string>> = {
  "envoy.buffer": "envoy.filters.http.buffer",
  "envoy.cors": "envoy.filters.http.cors",
  "envoy.csrf": "envoy.filters.http.csrf",
  "envoy.http_dynamo_filter": "envoy.filters.http.dynamo",
  "envoy.ext_authz": "envoy.filters.http.ext_authz",
  "envoy.fault": "envoy.filters.http.fault",
  "envoy.grpc_http1_bridge": "envoy.filters.http.grpc_http1_bridge",
  "envoy.grpc_json_transcoder": "envoy.filters.http.grpc_json_transcoder",
  "envoy.grpc_web": "envoy.filters.http.grpc_web",
  "envoy.gzip": "envoy.filters.http.gzip",
  "envoy.health_check": "envoy.filters.http.health_check",
  "envoy.ip_tagging": "envoy.filters.http.ip_tagging",
  "envoy.lua": "envoy.filters.http.lua",
  "envoy.rate_limit": "envoy.filters.http.ratelimit",
  "envoy.router": "envoy.filters.http.router",
  "envoy.squash": "envoy.filters.http.squash",
  "envoy.client_ssl_auth": "envoy.filters.network.client_ssl_auth",
  "envoy.http_connection_manager": "envoy.filters.network.http_connection_manager",
  "envoy.mongo_proxy": "envoy.filters.network.mongo_proxy",
  "envoy.ratelimit": "envoy.filters.network.ratelimit",
  "envoy.redis_proxy": "envoy.filters.network.redis_proxy",
  "envoy.tcp_proxy": "envoy.filters.network.tcp_proxy",
};

/** Checks an EnvoyFilter beyond its schema, as istiod's webhook does (pkg/config/validation/envoyfilter). */
export function validateEnvoyFilter(spec: EnvoyFilterSpec): readonly Finding[] {
  const findings = createFindings();
  findings.warning(
    ["spec"],
    "patches what is made inside and may change with any version: use other kinds where they can do it",
    "internals",
  );
  const { workloadSelector, configPatches = [] } = spec;
  if (workloadSelector !== undefined) {
    checkSelector(workloadSelector.labels, { path: ["spec", "workloadSelector"], field: "labels" }, findings);
  }
  for (const [index, patch] of configPatches.entries()) {
    checkConfigPatch(patch, ["spec", "configPatches", index], findings);
  }
  return findings.all;
}

function checkConfigPatch({ applyTo, match = {}, patch }: ConfigPatch, path: Path, findings: Findings): void {
  const { listener, routeConfiguration, cluster, waypoint } = match;
  checkExactlyOne({ listener, routeConfiguration, cluster, waypoint }, "may be none", {
    path: [...path, "match"],
    findings,
  });
  // Istio does not look at patches of waypoints.
  if (match.context === "WAYPOINT") return;
  if (applyTo === undefined || applyTo === "INVALID") {
    findings.error([...path, "applyTo"], "is required", "required");
    return;
  }
  const { operation, value } = patch ?? {};
  if (operation === undefined || operation === "INVALID") {
    findings.error([...path, "patch", "operation"], "is required", "required");
    return;
  }
  if (value === undefined && operation !== "REMOVE") {
    findings.error([...path, "patch", "value"], `is required for ${operation}`, "required");
    return;
  }
  checkEffect(operation, { applyTo, path }, findings);
  checkMatch(match, { applyTo, path: [...path, "match"] }, findings);
  if (value !== undefined) checkPatchValue(value, { applyTo, path: [...path, "patch", "value"] }, findings);
}

function checkEffect(operation: Operation, { applyTo, path }: MatchPlace, findings: Findings): void {
  if (applyTo === "BOOTSTRAP") {
    findings.warning([...path, "applyTo"], "has no effect: proxies get their bootstrap when they start", "no-effect");
  } else if (!listOperations(applyTo).includes(operation)) {
    findings.warning([...path, "patch", "operation"], `${operation} has no effect on ${applyTo}`, "no-effect");
  }
}

interface MatchPlace {
  readonly applyTo: ApplyTo;
  readonly path: Path;
}

function checkMatch(match: PatchMatch, { applyTo, path }: MatchPlace, findings: Findings): void {
  checkVersion(match.proxy?.proxyVersion ?? "", [...path, "proxy", "proxyVersion"], findings);
  const needed = matchFields[applyTo];
  const given = (["listener", "routeConfiguration", "cluster", "waypoint"] as const).filter(
    (field) => match[field] !== undefined,
  );
  if (needed !== undefined && given.length > 0 && match[needed] === undefined) {
    findings.error([...path, ...given.slice(0, 1)], `${applyTo} needs a match of ${needed} instead`, "match");
  }
  const filter = match.listener?.filterChain?.filter;
  if (needed === "listener" && filter !== undefined) {
    checkFilterMatch(filter, { applyTo, path: [...path, "listener", "filterChain", "filter"] }, findings);
  }
}

function checkVersion(expression: string, path: Path, findings: Findings): void {
  if (expression.length > maxVersionLength) {
    findings.warning(path, `is longer than ${maxVersionLength} characters: it matches no proxy`, "no-effect");
  } else checkRegex(expression, path, findings);
}

function checkFilterMatch(filter: ListenerFilterMatch, { applyTo, path }: MatchPlace, findings: Findings): void {
  const { name = "", subFilter } = filter;
  if (applyTo === "LISTENER" || applyTo === "FILTER_CHAIN") {
    findings.warning(path, `has no effect for ${applyTo}`, "no-effect");
  }
  if (name === "") findings.error([...path, "name"], "is required", "required");
  else warnOfFormerName(name, [...path, "name"], findings);
  if (subFilter === undefined) return;
  const at = [...path, "subFilter"];
  if (applyTo !== "HTTP_FILTER") findings.error(at, "is for HTTP_FILTER only", "match");
  else if (!connectionManagers.includes(name))
    findings.error(at, `needs a filter named ${connectionManagers[0]}`, "match");
  else if ((subFilter.name ?? "") === "") findings.error([...at, "name"], "is required", "required");
  else warnOfFormerName(subFilter.name ?? "", [...at, "name"], findings);
}

function warnOfFormerName(name: string, path: Path, findings: Findings): void {
  const current = Object.hasOwn(formerNames, name) ? formerNames[name] : undefined;
  if (current !== undefined) findings.warning(path, `"${name}" is the former name of ${current}`, "deprecated");
}
