import { checkExportTo } from "../export-to.ts";
import { createFindings, type Finding, type Findings, type Path } from "../findings.ts";
import type { Labels } from "../object.ts";
import { checkLabels, checkPort, checkServerName, isAddressOrSubnet } from "../rules.ts";
import { checkHosts, checkSniHost, namesOnlyGateways } from "./hosts.ts";
import { checkDestination, checkGateways, checkWeights } from "./route-parts.ts";
import type { L4Match, RouteDestination, TlsMatch, VirtualServiceSpec } from "./schema.ts";
import { checkUnreachable } from "./unreachable.ts";
import { validateHttpRoute } from "./validate-http.ts";

/**
 * Checks a VirtualService beyond its schema, as istiod's webhook does (pkg/config/validation, ValidateVirtualService):
 * hosts, gateways, what a route may combine, weights, values of every part. `meta` is what is known of the object.
 */
export function validateVirtualService(
  spec: VirtualServiceSpec,
  meta: { readonly namespace: string; readonly labels: Labels } = { namespace: "", labels: {} },
): readonly Finding[] {
  const findings = createFindings();
  const isDelegate = (spec.hosts ?? []).length === 0;
  if (isDelegate) checkDelegate(spec, findings);
  else checkHosts(spec, findings);
  checkGateways(spec.gateways ?? [], ["spec", "gateways"], findings);
  if ([spec.http, spec.tls, spec.tcp].every((routes) => (routes ?? []).length === 0)) {
    findings.error(["spec"], "one of http, tls, tcp is required", "required");
  }
  const onlyGateways = (spec.gateways ?? []).length > 0 && namesOnlyGateways(spec);
  for (const [index, route] of (spec.http ?? []).entries()) {
    validateHttpRoute(route, { path: ["spec", "http", index], isDelegate, onlyGateways, findings });
  }
  checkStreamRoutes(spec, findings);
  const { namespace } = meta;
  checkExportTo(spec.exportTo, { path: ["spec", "exportTo"], namespace, mayBeNobody: false, findings });
  checkUnreachable(spec, findings);
  return findings.all;
}

/** Checks the routes of TLS and TCP connections. */
function checkStreamRoutes(spec: VirtualServiceSpec, findings: Findings): void {
  for (const [index, route] of (spec.tls ?? []).entries()) {
    const path = ["spec", "tls", index];
    if (route.match.length === 0) findings.error([...path, "match"], "at least one match is required", "required");
    for (const [at, match] of route.match.entries()) checkTlsMatch(match, [...path, "match", at], { spec, findings });
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
  context: { readonly spec: VirtualServiceSpec; readonly findings: Findings },
): void {
  const { findings } = context;
  if (match.sniHosts.length === 0) findings.error([...path, "sniHosts"], "at least one host is required", "required");
  for (const [index, host] of match.sniHosts.entries()) {
    const at = [...path, "sniHosts", index];
    checkSniHost(host, at, context);
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
