/** Checks of retries, faults and CORS of an HTTP route. */

import { parseDuration } from "../../lib/duration.ts";
import { parseGrpcStatus } from "../../lib/grpc-status.ts";
import type { Findings, Path } from "../findings.ts";
import { checkNotNegative, checkPercent } from "../rules.ts";
import { checkWireDuration, isWhole } from "../wire-duration.ts";
import { checkCorsHeader } from "./header-rules.ts";
import { checkStringMatch } from "./route-parts.ts";
import type { CorsPolicy, HttpFault, HttpRetry } from "./schema.ts";

/** Conditions of Envoy's x-envoy-retry-on and x-envoy-retry-grpc-on. */
const retryConditions: ReadonlySet<string> = new Set([
  "5xx",
  "gateway-error",
  "reset",
  "reset-before-request",
  "connect-failure",
  "retriable-4xx",
  "refused-stream",
  "retriable-status-codes",
  "retriable-headers",
  "envoy-ratelimited",
  "http3-post-connect-failure",
  "cancelled",
  "deadline-exceeded",
  "internal",
  "resource-exhausted",
  "unavailable",
]);

export function checkRetries(retries: HttpRetry, path: Path, findings: Findings): void {
  checkNotNegative(retries.attempts, [...path, "attempts"], findings);
  const isOff = (retries.attempts ?? 0) === 0;
  if (
    isOff &&
    (retries.perTryTimeout !== undefined ||
      (retries.retryOn ?? "") !== "" ||
      retries.retryRemoteLocalities !== undefined)
  ) {
    findings.error(path, "attempts must be set: other settings have no sense where retries are off", "required");
  }
  checkWireDuration(retries.perTryTimeout, [...path, "perTryTimeout"], findings);
  checkWireDuration(retries.backoff, [...path, "backoff"], findings);
  for (const condition of (retries.retryOn ?? "") === "" ? [] : (retries.retryOn ?? "").split(",")) {
    if (!retryConditions.has(condition) && !isStatusCode(condition)) {
      findings.error([...path, "retryOn"], `"${condition}" is not a condition of Envoy or an HTTP status`, "retry-on");
    }
  }
}

/** Ranges of the HTTP status codes that have a name (Go's net/http, StatusText), by which Istio knows them. */
const namedStatuses = [
  [100, 103],
  [200, 208],
  [226, 226],
  [300, 305],
  [307, 308],
  [400, 418],
  [421, 426],
  [428, 429],
  [431, 431],
  [451, 451],
  [500, 508],
  [510, 511],
] as const;

function isStatusCode(text: string): boolean {
  const status = /^\+?[0-9]{1,6}$/.test(text) ? Number(text) : 0;
  return namedStatuses.some(([first, last]) => status >= first && status <= last);
}

export function checkFault(fault: HttpFault, path: Path, findings: Findings): void {
  const { delay, abort } = fault;
  if (delay === undefined && abort === undefined) findings.error(path, "one of delay, abort is required", "required");
  if (delay !== undefined) checkDelay(delay, [...path, "delay"], findings);
  if (abort !== undefined) checkAbort(abort, [...path, "abort"], findings);
}

function checkDelay(delay: NonNullable<HttpFault["delay"]>, path: Path, findings: Findings): void {
  checkFraction(delay.percentage?.value, [...path, "percentage", "value"], findings);
  checkNotNegative(delay.percent, [...path, "percent"], findings);
  if ((delay.percent ?? 0) > 100) findings.warning([...path, "percent"], "is more than 100", "out-of-range");
  checkWireDuration(delay.fixedDelay, [...path, "fixedDelay"], findings);
  if (delay.exponentialDelay !== undefined) {
    findings.error([...path, "exponentialDelay"], "is not supported", "unsupported");
  } else if (delay.fixedDelay === undefined) {
    findings.warning(path, "delays nothing without fixedDelay", "no-effect");
  }
}

function checkAbort(abort: NonNullable<HttpFault["abort"]>, path: Path, findings: Findings): void {
  checkFraction(abort.percentage?.value, [...path, "percentage", "value"], findings);
  const given = (["httpStatus", "grpcStatus", "http2Error"] as const).filter((field) => abort[field] !== undefined);
  if (given.length > 1) findings.error(path, `only one of ${given.join(", ")} may be set`, "one-of");
  if (given.length === 0) findings.warning(path, "aborts nothing without httpStatus or grpcStatus", "no-effect");
  const { httpStatus, grpcStatus } = abort;
  if (httpStatus !== undefined && (httpStatus < 200 || httpStatus > 599)) {
    findings.error([...path, "httpStatus"], "must be an HTTP status from 200 to 599", "out-of-range");
  }
  if (grpcStatus !== undefined && (/^[0-9]/.test(grpcStatus) || parseGrpcStatus(grpcStatus) === undefined)) {
    findings.error([...path, "grpcStatus"], `"${grpcStatus}" is not the name of a gRPC status`, "enum");
  }
  if (abort.http2Error !== undefined) findings.error([...path, "http2Error"], "is not supported", "unsupported");
}

/** Checks a percentage that Envoy counts in millionths: 0, or from 0.0001 to 100. */
function checkFraction(value: number | undefined, path: Path, findings: Findings): void {
  checkPercent(value, path, findings);
  if (value !== undefined && value > 0 && value < 0.0001) {
    findings.error(path, "must be 0 or at least 0.0001", "out-of-range");
  }
}

const methods: ReadonlySet<string> = new Set([
  "GET",
  "HEAD",
  "POST",
  "PUT",
  "PATCH",
  "DELETE",
  "CONNECT",
  "OPTIONS",
  "TRACE",
  "*",
]);

export function checkCorsPolicy(policy: CorsPolicy, path: Path, findings: Findings): void {
  for (const [index, origin] of (policy.allowOrigins ?? []).entries()) {
    const at = [...path, "allowOrigins", index];
    const isEmpty = (origin.exact ?? origin.prefix ?? origin.regex ?? "") === "";
    if (isEmpty) findings.error(at, "one of exact, prefix, regex is required", "one-of");
    else checkStringMatch(origin, { path: at, mayBeEmpty: false }, findings);
  }
  for (const [index, method] of (policy.allowMethods ?? []).entries()) {
    if (!methods.has(method))
      findings.error([...path, "allowMethods", index], `"${method}" is not an HTTP method`, "enum");
  }
  for (const field of ["allowHeaders", "exposeHeaders"] as const) {
    for (const [index, name] of (policy[field] ?? []).entries()) {
      checkCorsHeader(name, [...path, field, index], findings);
    }
  }
  checkWireDuration(policy.maxAge, [...path, "maxAge"], findings);
  const maxAgeMs = parseDuration(policy.maxAge ?? "0") ?? 0;
  if (maxAgeMs >= 1 && !isWhole(maxAgeMs / 1000)) {
    findings.error([...path, "maxAge"], "must be whole seconds", "duration");
  }
  if ((policy.allowOrigin ?? []).length > 0) {
    findings.warning([...path, "allowOrigin"], "is deprecated, use allowOrigins", "deprecated");
  }
}
