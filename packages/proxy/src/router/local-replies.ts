/** What the router answers itself: texts, flags and details are Envoy's. */
import { type LocalReply, LocalReplyError } from "../http/exchange.ts";
import { HeaderList } from "../http/header-list.ts";
import type { ResponseFlag } from "../http/response-flags.ts";
import { flagOfFailure, reasonOfFailure, type UpstreamError, type UpstreamFailure } from "../upstream/types.ts";

const maxDurationDetails = "upstream_max_stream_duration_reached";

export function routeNotFound(): LocalReplyError {
  return new LocalReplyError({ status: 404, flags: ["NR"], details: "route_not_found" });
}

export function clusterNotFound(status: number): LocalReplyError {
  return new LocalReplyError({ status, flags: ["NC"], details: "cluster_not_found" });
}

export function noHealthyUpstream(): LocalReplyError {
  return new LocalReplyError({
    status: 503,
    body: "no healthy upstream",
    flags: ["UH"],
    details: "no_healthy_upstream",
  });
}

export type DropFailure = Extract<UpstreamFailure, "drop-overload" | "unconditional-drop-overload">;

export function isDropped(failure: UpstreamFailure): failure is DropFailure {
  return failure === "drop-overload" || failure === "unconditional-drop-overload";
}

/** The load assignment has a part of all requests dropped, or all of them. */
export function dropOverload(failure: DropFailure, suppressesHeaders: boolean): LocalReplyError {
  return new LocalReplyError({
    status: 503,
    body: failure.replaceAll("-", " "),
    flags: [flagOfFailure[failure]],
    details: failure.replaceAll("-", "_"),
    ...(suppressesHeaders ? {} : { headers: new HeaderList([`x-envoy-${failure}`, "true"]) }),
  });
}

export function maintenanceMode(suppressesHeaders: boolean): LocalReplyError {
  return new LocalReplyError({
    status: 503,
    body: "maintenance mode",
    flags: ["UO"],
    details: "maintenance_mode",
    ...overloaded(!suppressesHeaders),
  });
}

export function invalidHeader(name: string, value: string): LocalReplyError {
  return new LocalReplyError({
    status: 400,
    body: `invalid header '${name}' with value '${value}'`,
    flags: ["IH"],
    details: `request_headers_failed_strict_check{${name}}`,
  });
}

/** `isEmpty` where the client asked for 204 in the place of 504. */
export function timedOut(
  details: "response_timeout" | "upstream_per_try_timeout" | "upstream_per_try_idle_timeout",
  isEmpty: boolean,
): LocalReplyError {
  const flags: readonly ResponseFlag[] = ["UT"];
  if (isEmpty) return new LocalReplyError({ status: 204, flags, details });
  return new LocalReplyError({ status: 504, body: "upstream request timeout", flags, details });
}

export function bufferExceeded(): LocalReplyError {
  return new LocalReplyError({
    status: 507,
    body: "exceeded request buffer limit while retrying upstream",
    details: "request_payload_exceeded_retry_buffer_limit",
  });
}

/** An attempt got no answer and none follows. Why the transport failed is for the log alone, not for clients. */
export function resetBeforeResponse(
  error: UpstreamError,
  options: { readonly isRetried: boolean; readonly suppressesHeaders: boolean },
): LocalReplyError {
  const reason = reasonOfFailure[error.failure];
  const { transportFailure } = error;
  const retried = options.isRetried ? "retried and the latest " : "";
  return new LocalReplyError({
    status: error.failure === "protocol-error" ? 502 : 503,
    body: `upstream connect error or disconnect/reset before headers. ${retried}reset reason: ${reason}`,
    flags: [flagOfFailure[error.failure]],
    details: resetDetails("before", reason, transportFailure),
    ...overloaded(error.failure === "overflow" && !options.suppressesHeaders),
  });
}

/** The cluster's max_stream_duration has passed: 408 where it is the client that has not sent everything. */
export function maxDurationReached(isRequestComplete: boolean): LocalReplyError {
  return new LocalReplyError({
    status: isRequestComplete ? 504 : 408,
    body: "upstream max stream duration reached",
    flags: ["UMSDR"],
    details: maxDurationDetails,
  });
}

/** Details of an answer that broke off. */
export function resetAfterResponse(error: UpstreamError): string {
  if (error.failure === "max-duration") return maxDurationDetails;
  return resetDetails("after", reasonOfFailure[error.failure], error.transportFailure);
}

function overloaded(isSaid: boolean): Pick<LocalReply, "headers"> {
  return isSaid ? { headers: new HeaderList(["x-envoy-overloaded", "true"]) } : {};
}

function resetDetails(when: "before" | "after", reason: string, transportFailure: string): string {
  const transport = transportFailure === "" ? "" : `|${transportFailure}`;
  return `upstream_reset_${when}_response_started{${reason}${transport}}`.replaceAll(" ", "_");
}
