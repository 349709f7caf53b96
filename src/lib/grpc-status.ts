/** Codes of gRPC, at their numbers (grpc.github.io/grpc/core/md_doc_statuscodes.html). */
const names: readonly string[] = [
  "OK",
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
];

/** The number of a code, given by name or as a number from 0 to 16; undefined where there is no such code. */
export function parseGrpcStatus(text: string): number | undefined {
  const status = /^\d{1,2}$/.test(text) ? Number(text) : names.indexOf(text);
  return status < 0 || status >= names.length ? undefined : status;
}
