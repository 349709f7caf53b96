/** Checks of an HTTP route: what may stand together, and the values of each part. */
import type { Findings, Path } from "../findings.ts";
import {
  checkDuration,
  checkHeaderName,
  checkHost,
  checkLabels,
  checkPercent,
  checkPort,
  checkRegex,
} from "../rules.ts";
import { checkDestination, checkGateways, checkStringMatch, checkWeights } from "./route-parts.ts";
import type { DirectResponse, HeaderChanges, HttpMatch, HttpRedirect, HttpRewrite, HttpRoute } from "./schema.ts";
import { checkCorsPolicy, checkFault, checkRetries } from "./validate-policies.ts";

export interface HttpRouteContext {
  readonly path: Path;
  /** The VirtualService has no hosts: another one refers to it. */
  readonly isDelegate: boolean;
  /** The VirtualService is for gateways and not for sidecars. */
  readonly onlyGateways: boolean;
  readonly findings: Findings;
}

export function validateHttpRoute(route: HttpRoute, context: HttpRouteContext): void {
  const { path, findings } = context;
  checkAction(route, context);
  for (const [index, match] of (route.match ?? []).entries()) checkMatch(match, [...path, "match", index], context);
  const destinations = route.route ?? [];
  for (const [index, destination] of destinations.entries()) {
    checkDestination(destination.destination, [...path, "route", index, "destination"], findings);
    checkHeaderChanges(destination.headers, [...path, "route", index, "headers"], findings);
  }
  checkWeights(destinations, [...path, "route"], findings);
  checkHeaderChanges(route.headers, [...path, "headers"], findings);
  checkMirrors(route, path, findings);
  checkDuration(route.timeout, { path: [...path, "timeout"], minMs: 0 }, findings);
  if (route.redirect !== undefined) checkRedirect(route.redirect, [...path, "redirect"], findings);
  if (route.rewrite !== undefined) checkRewrite(route.rewrite, [...path, "rewrite"], findings);
  if (route.directResponse !== undefined)
    checkDirectResponse(route.directResponse, [...path, "directResponse"], findings);
  if (route.retries !== undefined) checkRetries(route.retries, [...path, "retries"], findings);
  if (route.fault !== undefined) checkFault(route.fault, [...path, "fault"], findings);
  if (route.corsPolicy !== undefined) checkCorsPolicy(route.corsPolicy, [...path, "corsPolicy"], findings);
}

/** What the route does: exactly one of forwarding, redirect, direct response and delegate, and what fits to it. */
function checkAction(route: HttpRoute, { path, isDelegate, findings }: HttpRouteContext): void {
  const { redirect, directResponse, delegate, rewrite, fault } = route;
  const destinations = (route.route ?? []).length > 0 ? route.route : undefined;
  const actions = { route: destinations, redirect, directResponse, delegate };
  const given = Object.entries(actions)
    .filter(([, value]) => value !== undefined)
    .map(([name]) => name);
  if (given.length === 0)
    findings.error(path, "one of route, redirect, directResponse, delegate is required", "one-of");
  if (given.length > 1) findings.error(path, `only one of ${given.join(", ")} may be set`, "one-of");
  for (const [name, alone] of [
    ["redirect", redirect],
    ["directResponse", directResponse],
  ] as const) {
    if (alone === undefined) continue;
    if (rewrite !== undefined) findings.error([...path, "rewrite"], `cannot stand together with ${name}`, "one-of");
    if (fault !== undefined && name === "redirect")
      findings.error([...path, "fault"], `cannot stand together with ${name}`, "one-of");
  }
  if (delegate !== undefined) {
    if (isDelegate) findings.error([...path, "delegate"], "a delegate cannot delegate any further", "delegate");
    if ((delegate.name ?? "") === "") findings.error([...path, "delegate", "name"], "is required", "required");
  }
}

function checkMatch(match: HttpMatch, path: Path, { onlyGateways, findings }: HttpRouteContext): void {
  for (const field of ["uri", "scheme", "method", "authority"] as const) {
    const value = match[field];
    if (value !== undefined) checkStringMatch(value, { path: [...path, field], mayBeEmpty: false }, findings);
  }
  checkHeaderMatches(match, path, { onlyGateways, findings });
  for (const [name, value] of Object.entries(match.queryParams ?? {})) {
    const at = [...path, "queryParams", name];
    if (name === "") findings.error(at, "the name must not be empty", "required");
    checkStringMatch(value, { path: at, mayBeEmpty: true }, findings);
  }
  if (match.port !== undefined && match.port !== 0) checkPort(match.port, [...path, "port"], findings);
  checkLabels(match.sourceLabels, [...path, "sourceLabels"], findings);
  checkGateways(match.gateways ?? [], [...path, "gateways"], findings);
  if (match.ignoreUriCase === true && match.uri?.regex !== undefined) {
    findings.warning([...path, "ignoreUriCase"], "has no effect on a regex; write (?i) in the expression", "no-effect");
  }
}

function checkHeaderMatches(
  match: HttpMatch,
  path: Path,
  { onlyGateways, findings }: Pick<HttpRouteContext, "onlyGateways" | "findings">,
): void {
  for (const field of ["headers", "withoutHeaders"] as const) {
    for (const [name, value] of Object.entries(match[field] ?? {})) {
      const at = [...path, field, name];
      const isClaim = name.startsWith("@request.auth.claims");
      if (!isClaim) checkHeaderName(name, at, findings);
      else if (!onlyGateways) findings.error(at, "claims can be matched on gateways only", "jwt-claim");
      checkStringMatch(value, { path: at, mayBeEmpty: true }, findings);
    }
  }
}

function checkHeaderChanges(changes: HeaderChanges | undefined, path: Path, findings: Findings): void {
  for (const side of ["request", "response"] as const) {
    for (const operation of ["set", "add"] as const) {
      for (const name of Object.keys(changes?.[side]?.[operation] ?? {})) {
        checkHeaderName(name, [...path, side, operation, name], findings);
      }
    }
    for (const [index, name] of (changes?.[side]?.remove ?? []).entries()) {
      checkHeaderName(name, [...path, side, "remove", index], findings);
    }
  }
}

function checkMirrors(route: HttpRoute, path: Path, findings: Findings): void {
  if (route.mirror !== undefined) {
    checkDestination(route.mirror, [...path, "mirror"], findings);
    if ((route.mirrors ?? []).length > 0) findings.error(path, "only one of mirror, mirrors may be set", "one-of");
  } else if (route.mirrorPercentage !== undefined || route.mirrorPercent !== undefined) {
    findings.warning(path, "a mirror percentage has no effect without mirror", "no-effect");
  }
  checkPercent(route.mirrorPercentage?.value, [...path, "mirrorPercentage", "value"], findings);
  checkPercent(route.mirrorPercent, [...path, "mirrorPercent"], findings);
  for (const [index, mirror] of (route.mirrors ?? []).entries()) {
    checkDestination(mirror.destination, [...path, "mirrors", index, "destination"], findings);
    checkPercent(mirror.percentage?.value, [...path, "mirrors", index, "percentage", "value"], findings);
  }
}

/** Codes that Envoy can answer with. */
const redirectCodes: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

function checkRedirect(redirect: HttpRedirect, path: Path, findings: Findings): void {
  const { uri, authority, scheme, port, derivePort, redirectCode } = redirect;
  const isEmpty =
    [uri, authority, scheme].every((part) => (part ?? "") === "") && (port ?? 0) === 0 && derivePort === undefined;
  if (isEmpty) findings.error(path, "one of uri, authority, scheme, port, derivePort is required", "required");
  if (port !== undefined && derivePort !== undefined)
    findings.error(path, "only one of port, derivePort may be set", "one-of");
  if (port !== undefined && port !== 0) checkPort(port, [...path, "port"], findings);
  if (scheme !== undefined && !["", "http", "https"].includes(scheme)) {
    findings.error([...path, "scheme"], "must be http or https", "enum");
  }
  if (redirectCode !== undefined && redirectCode !== 0 && !redirectCodes.has(redirectCode)) {
    findings.error([...path, "redirectCode"], "must be 301, 302, 303, 307 or 308", "enum");
  }
}

function checkRewrite(rewrite: HttpRewrite, path: Path, findings: Findings): void {
  const { uri, authority, uriRegexRewrite } = rewrite;
  if ([uri, authority].every((part) => (part ?? "") === "") && uriRegexRewrite === undefined) {
    findings.error(path, "one of uri, authority, uriRegexRewrite is required", "required");
  }
  if ((uri ?? "") !== "" && uriRegexRewrite !== undefined) {
    findings.error(path, "only one of uri, uriRegexRewrite may be set", "one-of");
  }
  if ((authority ?? "") !== "" && authority !== undefined)
    checkHost(authority.replace(/:[0-9]+$/, ""), [...path, "authority"], findings);
  if (uriRegexRewrite === undefined) return;
  const at = [...path, "uriRegexRewrite"];
  if ((uriRegexRewrite.match ?? "") === "") findings.error([...at, "match"], "is required", "required");
  else if (uriRegexRewrite.match !== undefined) checkRegex(uriRegexRewrite.match, [...at, "match"], findings);
  if (uriRegexRewrite.rewrite === undefined) findings.error([...at, "rewrite"], "is required", "required");
}

const bodyLimit = 1024 * 1024;
const bodyWarning = 100 * 1024;

function checkDirectResponse(response: DirectResponse, path: Path, findings: Findings): void {
  if (response.status < 200 || response.status > 599) {
    findings.error([...path, "status"], "must be an HTTP status from 200 to 599", "out-of-range");
  }
  const { body } = response;
  if (body === undefined) return;
  if (body.string !== undefined && body.bytes !== undefined) {
    findings.error([...path, "body"], "only one of string, bytes may be set", "one-of");
  }
  if (body.bytes !== undefined && !/^[A-Za-z0-9+/_-]*={0,2}$/.test(body.bytes)) {
    findings.error([...path, "body", "bytes"], "must be base64", "base64");
  }
  const size =
    body.bytes === undefined ? Buffer.byteLength(body.string ?? "") : Buffer.byteLength(body.bytes, "base64");
  if (size > bodyLimit) findings.error([...path, "body"], "must not be longer than 1 MiB", "too-long");
  else if (size > bodyWarning)
    findings.warning([...path, "body"], "is longer than 100 KiB and part of every push", "too-long");
}
