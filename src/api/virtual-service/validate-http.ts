/** Checks of an HTTP route: what may stand together, and the values of each part. */
import type { Findings, Path } from "../findings.ts";
import {
  checkLabels,
  checkPercent,
  checkPort,
  checkRegex,
  isAddress,
  isDnsLabel,
  isWildcardDnsName,
} from "../rules.ts";
import { checkWireDuration } from "../wire-duration.ts";
import { isClaimName } from "./claim-name.ts";
import { checkHeaderChanges, checkMatchedHeader, checkOneAuthority } from "./header-rules.ts";
import { checkDestination, checkGateways, checkStringMatch, checkWeights } from "./route-parts.ts";
import type { DirectResponse, HttpMatch, HttpRewrite, HttpRoute } from "./schema.ts";
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
  checkOneAuthority(route.rewrite, route.headers, { path, findings });
  checkMirrors(route, path, findings);
  checkWireDuration(route.timeout, [...path, "timeout"], findings);
  if (route.redirect !== undefined) checkRedirect(route, [...path, "redirect"], findings);
  if (route.rewrite !== undefined) checkRewrite(route.rewrite, [...path, "rewrite"], findings);
  if (route.directResponse !== undefined)
    checkDirectResponse(route.directResponse, [...path, "directResponse"], findings);
  if (route.retries !== undefined) checkRetries(route.retries, [...path, "retries"], findings);
  if (route.fault !== undefined) checkFault(route.fault, [...path, "fault"], findings);
  if (route.corsPolicy !== undefined) checkCorsPolicy(route.corsPolicy, [...path, "corsPolicy"], findings);
}

/**
 * What the route does: exactly one of forwarding, redirect, direct response and delegate, and what fits to it. A route
 * that delegates is looked at less closely, as by Istio (validateHTTPRouteConflict).
 */
function checkAction(route: HttpRoute, context: HttpRouteContext): void {
  const { path, isDelegate, findings } = context;
  const { redirect, directResponse, delegate } = route;
  if (delegate !== undefined && !isDelegate) {
    checkDelegation(route, path, findings);
    return;
  }
  if (delegate !== undefined) {
    findings.error([...path, "delegate"], "a delegate cannot delegate any further", "delegate");
  }
  const forward = (route.route ?? []).length > 0 ? route.route : undefined;
  const given = Object.entries({ route: forward, redirect, directResponse })
    .filter(([, value]) => value !== undefined)
    .map(([name]) => name);
  if (given.length === 0) {
    findings.error(path, "one of route, redirect, directResponse, delegate is required", "one-of");
  }
  if (given.length > 1) findings.error(path, `only one of ${given.join(", ")} may be set`, "one-of");
  const alone = redirect !== undefined ? "redirect" : "directResponse";
  for (const field of ["rewrite", "fault"] as const) {
    if (route[field] !== undefined && (redirect !== undefined || directResponse !== undefined)) {
      findings.error([...path, field], `cannot stand together with ${alone}`, "one-of");
    }
  }
  if (route.mirror !== undefined && (route.mirrors ?? []).length > 0) {
    findings.error(path, "only one of mirror, mirrors may be set", "one-of");
  }
}

function checkDelegation(route: HttpRoute, path: Path, findings: Findings): void {
  for (const field of ["route", "redirect"] as const) {
    const value = route[field];
    const isSet = Array.isArray(value) ? value.length > 0 : value !== undefined;
    if (isSet) findings.error(path, `only one of ${field}, delegate may be set`, "one-of");
  }
  if (route.directResponse !== undefined) {
    findings.warning([...path, "directResponse"], "has no effect beside delegate", "no-effect");
  }
  if ((route.delegate?.name ?? "") === "") {
    findings.warning([...path, "delegate", "name"], "is missing: the route does nothing without it", "required");
  }
}

function checkMatch(match: HttpMatch, path: Path, { onlyGateways, findings }: HttpRouteContext): void {
  for (const field of ["uri", "scheme", "method", "authority"] as const) {
    const value = match[field];
    const at = { path: [...path, field], mayBeEmpty: false, anyPrefix: field === "uri" };
    if (value !== undefined) checkStringMatch(value, at, findings);
  }
  checkHeaderMatches(match, path, { onlyGateways, findings });
  for (const [name, value] of Object.entries(match.queryParams ?? {})) {
    const at = [...path, "queryParams", name];
    // Envoy refuses a matcher without a name.
    if (name === "") findings.error(at, "the name must not be empty", "required");
    checkStringMatch(value, { path: at, mayBeEmpty: true }, findings);
  }
  if (match.port !== undefined && match.port !== 0) checkPort(match.port, [...path, "port"], findings);
  checkLabels(match.sourceLabels, [...path, "sourceLabels"], findings);
  checkGateways(match.gateways ?? [], [...path, "gateways"], findings);
  const { sourceNamespace = "" } = match;
  if (sourceNamespace !== "" && !isDnsLabel(sourceNamespace)) {
    findings.error([...path, "sourceNamespace"], `"${sourceNamespace}" is not a namespace`, "name");
  }
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
      checkMatchedHeader(name, at, findings);
      if (!onlyGateways && isClaimName(name)) {
        findings.error(at, "claims can be matched on gateways only", "jwt-claim");
      }
      // "*" is no expression there but asks for presence.
      const isPresence = field === "withoutHeaders" && value.regex === "*" && Object.keys(value).length === 1;
      if (!isPresence) checkStringMatch(value, { path: at, mayBeEmpty: true }, findings);
    }
  }
}

function checkMirrors(route: HttpRoute, path: Path, findings: Findings): void {
  if (route.mirror !== undefined) checkDestination(route.mirror, [...path, "mirror"], findings);
  else if (route.mirrorPercentage !== undefined || route.mirrorPercent !== undefined) {
    findings.warning(path, "a mirror percentage has no effect without mirror", "no-effect");
  }
  checkPercent(route.mirrorPercentage?.value, [...path, "mirrorPercentage", "value"], findings);
  checkPercent(route.mirrorPercent, [...path, "mirrorPercent"], findings);
  if (route.mirrorPercent !== undefined) {
    findings.warning([...path, "mirrorPercent"], "is deprecated, use mirrorPercentage", "deprecated");
  }
  for (const [index, mirror] of (route.mirrors ?? []).entries()) {
    checkDestination(mirror.destination, [...path, "mirrors", index, "destination"], findings);
    checkPercent(mirror.percentage?.value, [...path, "mirrors", index, "percentage", "value"], findings);
  }
}

/** Codes that Envoy can answer with. */
const redirectCodes: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

function checkRedirect({ redirect = {}, match = [] }: HttpRoute, path: Path, findings: Findings): void {
  const { authority, scheme, port, derivePort, redirectCode = 0 } = redirect;
  const [uri = "", prefixRewrite = ""] = [redirect.uri, redirect.prefixRewrite];
  const isEmpty =
    [uri, prefixRewrite, authority, scheme].every((part) => (part ?? "") === "") &&
    port === undefined &&
    derivePort === undefined;
  if (isEmpty) {
    findings.error(path, "one of uri, prefixRewrite, authority, scheme, port, derivePort is required", "required");
  }
  if (uri !== "" && prefixRewrite !== "") {
    findings.error(path, "only one of uri, prefixRewrite may be set", "one-of");
  }
  // There is no prefix to replace in other matches.
  if (prefixRewrite !== "" && match.some((each) => each.uri !== undefined && each.uri.prefix === undefined)) {
    findings.error([...path, "prefixRewrite"], "needs a prefix in every uri match of the route", "prefix");
  }
  if (port !== undefined && derivePort !== undefined)
    findings.error(path, "only one of port, derivePort may be set", "one-of");
  if (port !== undefined && port !== 0) checkPort(port, [...path, "port"], findings);
  if (scheme !== undefined && !["", "http", "https"].includes(scheme)) {
    findings.error([...path, "scheme"], "must be http or https", "enum");
  }
  if (redirectCode !== 0 && (redirectCode < 300 || redirectCode > 399)) {
    findings.error([...path, "redirectCode"], "must be 301, 302, 303, 307 or 308", "enum");
  } else if (redirectCode !== 0 && !redirectCodes.has(redirectCode)) {
    findings.warning([...path, "redirectCode"], `proxies cannot answer with ${redirectCode}: 301 is sent`, "no-effect");
  }
}

function checkRewrite(rewrite: HttpRewrite, path: Path, findings: Findings): void {
  const { uri = "", authority = "", uriRegexRewrite } = rewrite;
  if (uri === "" && authority === "" && uriRegexRewrite === undefined) {
    findings.error(path, "one of uri, authority, uriRegexRewrite is required", "required");
  }
  if (uri !== "" && uriRegexRewrite !== undefined) {
    findings.error(path, "only one of uri, uriRegexRewrite may be set", "one-of");
  }
  if (authority !== "") checkRewrittenAuthority(authority, [...path, "authority"], findings);
  if (uriRegexRewrite === undefined) return;
  const at = [...path, "uriRegexRewrite"];
  const { match = "", rewrite: replacement = "" } = uriRegexRewrite;
  if (match === "") findings.error([...at, "match"], "is required", "required");
  else checkRegex(match, [...at, "match"], findings);
  if (replacement === "") findings.error([...at, "rewrite"], "is required", "required");
}

/** Istio takes any text; Envoy refuses what cannot be a header's value. */
function checkRewrittenAuthority(authority: string, path: Path, findings: Findings): void {
  const host = authority.replace(/:[0-9]+$/, "");
  // biome-ignore lint/suspicious/noControlCharactersInRegex: what Envoy refuses.
  if (/[\u0000\r\n]/.test(authority)) findings.error(path, "must not hold line breaks", "header-value");
  else if (!isWildcardDnsName(host) && !isAddress(host))
    findings.warning(path, `"${authority}" is not a valid host name`, "host");
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
  if (body.bytes !== undefined && !isBase64(body.bytes)) {
    findings.error([...path, "body", "bytes"], "must be base64", "base64");
  }
  const size =
    body.bytes === undefined ? Buffer.byteLength(body.string ?? "") : Buffer.byteLength(body.bytes, "base64");
  if (size > bodyLimit) findings.error([...path, "body"], "must not be longer than 1 MiB", "too-long");
  else if (size > bodyWarning)
    findings.warning([...path, "body"], "is longer than 100 KiB and part of every push", "too-long");
}

/** Base64 of the standard alphabet with padding, lines allowed: what Go's decoder takes. */
function isBase64(text: string): boolean {
  const plain = text.replace(/[\r\n]/g, "");
  return plain.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(plain);
}
