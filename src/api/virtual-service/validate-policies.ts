/** Checks of retries, faults and CORS of an HTTP route. */

import { parseDuration } from "../../lib/duration.ts";
import { parseGrpcStatus } from "../../lib/grpc-status.ts";
import type { Findings, Path } from "../findings.ts";
import { checkDuration, checkHeaderName, checkNotNegative, checkPercent } from "../rules.ts";
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
  checkDuration(retries.perTryTimeout, { path: [...path, "perTryTimeout"], minMs: 0 }, findings);
  checkDuration(retries.backoff, { path: [...path, "backoff"], minMs: 1 }, findings);
  for (const raw of (retries.retryOn ?? "") === "" ? [] : (retries.retryOn ?? "").split(",")) {
    const condition = raw.trim();
    const status = /^[0-9]{3}$/.test(condition) ? Number(condition) : 0;
    if (!retryConditions.has(condition) && (status < 100 || status > 599)) {
      findings.error([...path, "retryOn"], `"${condition}" is not a condition of Envoy or an HTTP status`, "retry-on");
    }
  }
}

export function checkFault(fault: HttpFault, path: Path, findings: Findings): void {
  const { delay, abort } = fault;
  if (delay === undefined && abort === undefined) findings.error(path, "one of delay, abort is required", "required");
  if (delay !== undefined) {
    const at = [...path, "delay"];
    checkPercent(delay.percentage?.value, [...at, "percentage", "value"], findings);
    checkPercent(delay.percent, [...at, "percent"], findings);
    checkDuration(delay.fixedDelay, { path: [...at, "fixedDelay"], minMs: 1 }, findings);
    if (delay.exponentialDelay !== undefined)
      findings.error([...at, "exponentialDelay"], "is not supported", "unsupported");
    else if (delay.fixedDelay === undefined) findings.error([...at, "fixedDelay"], "is required", "required");
  }
  if (abort !== undefined) checkAbort(abort, [...path, "abort"], findings);
}

function checkAbort(abort: NonNullable<HttpFault["abort"]>, path: Path, findings: Findings): void {
  checkPercent(abort.percentage?.value, [...path, "percentage", "value"], findings);
  const given = (["httpStatus", "grpcStatus", "http2Error"] as const).filter((field) => abort[field] !== undefined);
  if (given.length > 1) findings.error(path, `only one of ${given.join(", ")} may be set`, "one-of");
  if (given.length === 0) findings.error(path, "one of httpStatus, grpcStatus is required", "one-of");
  const { httpStatus, grpcStatus } = abort;
  if (httpStatus !== undefined && (httpStatus < 200 || httpStatus > 599)) {
    findings.error([...path, "httpStatus"], "must be an HTTP status from 200 to 599", "out-of-range");
  }
  if (grpcStatus !== undefined && parseGrpcStatus(grpcStatus) === undefined) {
    findings.error([...path, "grpcStatus"], `"${grpcStatus}" is not a gRPC status`, "enum");
  }
  if (abort.http2Error !== undefined) findings.error([...path, "http2Error"], "is not supported", "unsupported");
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
    checkStringMatch(origin, { path: [...path, "allowOrigins", index], mayBeEmpty: false }, findings);
  }
  for (const [index, method] of (policy.allowMethods ?? []).entries()) {
    if (!methods.has(method))
      findings.error([...path, "allowMethods", index], `"${method}" is not an HTTP method`, "enum");
  }
  for (const field of ["allowHeaders", "exposeHeaders"] as const) {
    for (const [index, name] of (policy[field] ?? []).entries())
      checkHeaderName(name, [...path, field, index], findings);
  }
  checkDuration(policy.maxAge, { path: [...path, "maxAge"], minMs: 0 }, findings);
  if ((parseDuration(policy.maxAge ?? "0") ?? 0) % 1000 !== 0) {
    findings.error([...path, "maxAge"], "must be whole seconds", "duration");
  }
  if ((policy.allowOrigin ?? []).length > 0) {
    findings.warning([...path, "allowOrigin"], "is deprecated, use allowOrigins", "deprecated");
  }
}
