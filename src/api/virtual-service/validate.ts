import { hostIsWithin } from "../../lib/hostname.ts";
import { createFindings, type Finding, type Findings, type Path } from "../findings.ts";
import {
  checkExportTo,
  checkHost,
  checkLabels,
  checkPort,
  checkServerName,
  checkUnique,
  isAddress,
  isAddressOrSubnet,
  isWildcardDnsName,
} from "../rules.ts";
import { checkDestination, checkGateways, checkWeights } from "./route-parts.ts";
import type { L4Match, RouteDestination, TlsMatch, VirtualServiceSpec } from "./schema.ts";
import { validateHttpRoute } from "./validate-http.ts";

/**
 * Checks a VirtualService beyond its schema, as istiod's webhook does (pkg/config/validation/virtualservice.go): hosts,
 * gateways, what a route may combine, weights, values of every part.
 */
export function validateVirtualService(spec: VirtualServiceSpec): readonly Finding[] {
  const findings = createFindings();
  const hosts = spec.hosts ?? [];
  const appliesToMesh = spec.gateways === undefined || spec.gateways.length === 0 || spec.gateways.includes("mesh");
  if (hosts.length === 0) checkDelegate(spec, findings);
  else checkHosts(hosts, appliesToMesh, findings);
  checkGateways(spec.gateways ?? [], ["spec", "gateways"], findings);
  if ([spec.http, spec.tls, spec.tcp].every((routes) => (routes ?? []).length === 0)) {
    findings.error(["spec"], "one of http, tls, tcp is required", "required");
  }
  const onlyGateways = hosts.length > 0 && !appliesToMesh;
  const isDelegate = hosts.length === 0;
  for (const [index, route] of (spec.http ?? []).entries()) {
    validateHttpRoute(route, { path: ["spec", "http", index], isDelegate, onlyGateways, findings });
  }
  checkUnreachable(spec, findings);
  checkStreamRoutes(spec, hosts, findings);
  checkExportTo(spec.exportTo, ["spec", "exportTo"], findings);
  return findings.all;
}

/** Checks the routes of TLS and TCP connections. */
function checkStreamRoutes(spec: VirtualServiceSpec, hosts: readonly string[], findings: Findings): void {
  for (const [index, route] of (spec.tls ?? []).entries()) {
    const path = ["spec", "tls", index];
    if (route.match.length === 0) findings.error([...path, "match"], "at least one match is required", "required");
    for (const [at, match] of route.match.entries()) checkTlsMatch(match, [...path, "match", at], { hosts, findings });
    checkDestinations(route.route ?? [], [...path, "route"], findings);
  }
  for (const [index, route] of (spec.tcp ?? []).entries()) {
    const path = ["spec", "tcp", index];
    for (const [at, match] of (route.match ?? []).entries()) checkL4Match(match, [...path, "match", at], findings);
    checkDestinations(route.route ?? [], [...path, "route"], findings);
  }
}

function checkDelegate(spec: VirtualServiceSpec, findings: Findings): void {
  if ((spec.gateways ?? []).length > 0) {
    findings.error(
      ["spec", "gateways"],
      "must be empty where there are no hosts (a delegate has the gateways of its root)",
      "delegate",
    );
  }
  for (const field of ["tls", "tcp"] as const) {
    if ((spec[field] ?? []).length > 0) {
      findings.error(["spec", field], "must be empty where there are no hosts (a delegate has only http)", "delegate");
    }
  }
}

function checkHosts(hosts: readonly string[], appliesToMesh: boolean, findings: Findings): void {
  for (const [index, host] of hosts.entries()) {
    const path = ["spec", "hosts", index];
    if (host === "*" && appliesToMesh) {
      findings.error(path, '"*" is not allowed for the gateway "mesh": name the hosts, or the gateways', "host");
    } else if (!isWildcardDnsName(host) && !isAddress(host)) {
      findings.error(path, `"${host}" is not a valid host name or IP address`, "host");
    } else if (!appliesToMesh && !host.includes(".") && !host.includes(":") && host !== "*") {
      findings.error(path, `"${host}" must be a full name, because it is served by gateways only`, "host");
    }
  }
  checkUnique(hosts, "host", { path: (index) => ["spec", "hosts", index], findings });
}

function checkDestinations(routes: readonly RouteDestination[], path: Path, findings: Findings): void {
  if (routes.length === 0) findings.error(path, "at least one destination is required", "required");
  for (const [index, route] of routes.entries()) {
    checkDestination(route.destination, [...path, index, "destination"], findings);
  }
  checkWeights(routes, path, findings);
}

function checkTlsMatch(
  match: TlsMatch,
  path: Path,
  context: { readonly hosts: readonly string[]; readonly findings: Findings },
): void {
  const { hosts, findings } = context;
  if (match.sniHosts.length === 0) findings.error([...path, "sniHosts"], "at least one host is required", "required");
  for (const [index, host] of match.sniHosts.entries()) {
    const at = [...path, "sniHosts", index];
    if (checkHost(host, at, findings) && !hosts.some((own) => hostIsWithin(host, own))) {
      findings.error(at, `"${host}" is not within the hosts of the virtual service`, "sni-host");
    }
    checkServerName(host, at, findings);
  }
  checkL4Match(match, path, findings);
}

function checkL4Match(match: L4Match | TlsMatch, path: Path, findings: Findings): void {
  for (const [index, subnet] of (match.destinationSubnets ?? []).entries()) {
    if (!isAddressOrSubnet(subnet)) {
      findings.error([...path, "destinationSubnets", index], `"${subnet}" is not an IP address or subnet`, "address");
    }
  }
  if (match.port !== undefined && match.port !== 0) checkPort(match.port, [...path, "port"], findings);
  checkLabels(match.sourceLabels, [...path, "sourceLabels"], findings);
  checkGateways(match.gateways ?? [], [...path, "gateways"], findings);
}

/** Rules behind one that matches everything are never reached: probably the order is wrong. */
function checkUnreachable(spec: VirtualServiceSpec, findings: Findings): void {
  const first = (spec.http ?? []).findIndex((route) => (route.match ?? []).length === 0);
  if (first < 0) return;
  for (let index = first + 1; index < (spec.http ?? []).length; index++) {
    findings.warning(
      ["spec", "http", index],
      `is never reached, because spec.http[${first}] matches everything`,
      "unreachable-rule",
    );
  }
}
