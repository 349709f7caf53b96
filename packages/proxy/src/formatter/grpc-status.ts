/** The status of a gRPC call, by Envoy's rules and in its words. */
import type { LogEntry } from "../access-log/types.ts";

export type GrpcStatusForm = "CAMEL_STRING" | "SNAKE_STRING" | "NUMBER";

/** By number. Where the two differ in more than case: gRPC's own word is "CANCELLED". */
const names: readonly (readonly [camel: string, snake: string])[] = [
  ["OK", "OK"],
  ["Canceled", "CANCELLED"],
  ["Unknown", "UNKNOWN"],
  ["InvalidArgument", "INVALID_ARGUMENT"],
  ["DeadlineExceeded", "DEADLINE_EXCEEDED"],
  ["NotFound", "NOT_FOUND"],
  ["AlreadyExists", "ALREADY_EXISTS"],
  ["PermissionDenied", "PERMISSION_DENIED"],
  ["ResourceExhausted", "RESOURCE_EXHAUSTED"],
  ["FailedPrecondition", "FAILED_PRECONDITION"],
  ["Aborted", "ABORTED"],
  ["OutOfRange", "OUT_OF_RANGE"],
  ["Unimplemented", "UNIMPLEMENTED"],
  ["Internal", "INTERNAL"],
  ["Unavailable", "UNAVAILABLE"],
  ["DataLoss", "DATA_LOSS"],
  ["Unauthenticated", "UNAUTHENTICATED"],
];

/** Of HTTP answers that say no gRPC status (https://grpc.github.io/grpc/core/md_doc_http-grpc-status-mapping.html). */
const ofHttpStatus: Readonly<Record<number, number>> = {
  200: 0,
  400: 13,
  401: 16,
  403: 7,
  404: 12,
  429: 14,
  502: 14,
  503: 14,
  504: 14,
};
const unknown = 2;

/** From the trailers, the headers, or else the HTTP status; undefined where there was no answer. */
export function grpcStatusOf({ responseTrailers, responseHeaders, info }: LogEntry): number | undefined {
  const said = responseTrailers?.get("grpc-status") ?? responseHeaders?.get("grpc-status");
  if (said !== undefined) return /^\d+$/.test(said) ? Number(said) : undefined;
  return info.responseCode === undefined ? undefined : (ofHttpStatus[info.responseCode] ?? unknown);
}

/** A number that has no name stays a number. */
export function formatGrpcStatus(status: number, form: GrpcStatusForm): string | number {
  if (form === "NUMBER") return status;
  return names[status]?.[form === "CAMEL_STRING" ? 0 : 1] ?? String(status);
}

/** The number of a name in capitals, as log filters have it; they spell CANCELED with one L. */
export function parseGrpcStatus(name: string): number {
  return names.findIndex(([, snake]) => snake === (name === "CANCELED" ? "CANCELLED" : name));
}
