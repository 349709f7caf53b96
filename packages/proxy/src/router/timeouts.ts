/** How long a request and each of its attempts may take, by its route and by its headers. */
import type { HttpRequest } from "../http/message.ts";
import type { ForwardRules } from "./forward-rules.ts";

/** In milliseconds; 0 for no bound. */
export interface Timeouts {
  readonly totalMs: number;
  readonly perTryMs: number;
  readonly perTryIdleMs: number;
}

export interface TimeoutOptions {
  readonly perTryMs: number;
  readonly perTryIdleMs: number;
  readonly isGrpc: boolean;
  /** True where none of the request's headers begins with "x-envoy-". */
  readonly hasNoEnvoyHeaders: boolean;
  readonly respectsExpected: boolean;
  readonly suppressesHeaders: boolean;
}

const expectedHeader = "x-envoy-expected-rq-timeout-ms";
const grpcUnits: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 0.001, n: 0.000001 };

/** Reads the headers that a trusted client sets and removes them, and tells the upstream how long it has. */
export function applyTimeouts(request: HttpRequest, rules: ForwardRules, options: TimeoutOptions): Timeouts {
  const { headers } = request;
  let { perTryMs } = options;
  let totalMs = rules.grpcTimeout && options.isGrpc ? grpcTotal(request, rules.grpcTimeout) : rules.timeoutMs;
  if (!options.hasNoEnvoyHeaders) {
    const expected = options.respectsExpected ? readMs(request, expectedHeader) : undefined;
    const asked = readMs(request, "x-envoy-upstream-rq-timeout-ms");
    totalMs = expected ?? asked ?? totalMs;
    perTryMs = readMs(request, "x-envoy-upstream-rq-per-try-timeout-ms") ?? perTryMs;
    headers.remove("x-envoy-upstream-rq-timeout-ms");
    headers.remove("x-envoy-upstream-rq-per-try-timeout-ms");
  }
  // A try that may take as long as all of them has no bound of its own.
  if (totalMs > 0 && perTryMs >= totalMs) perTryMs = 0;
  const expectedMs = perTryMs === 0 || rules.hedgesOnTimeout ? totalMs : perTryMs;
  if (expectedMs > 0 && !options.suppressesHeaders) headers.set(expectedHeader, String(expectedMs));
  return { totalMs, perTryMs, perTryIdleMs: options.perTryIdleMs };
}

function readMs({ headers }: HttpRequest, name: string): number | undefined {
  const value = headers.get(name);
  return value !== undefined && /^\d+$/.test(value) ? Number(value) : undefined;
}

function grpcTotal({ headers }: HttpRequest, { maxMs, offsetMs }: NonNullable<ForwardRules["grpcTimeout"]>): number {
  const asked = parseGrpcTimeout(headers.get("grpc-timeout")) ?? 0;
  // The offset is not taken where nothing would be left.
  const own = offsetMs > 0 && asked > offsetMs ? asked - offsetMs : asked;
  return maxMs !== 0 && (own === 0 || own > maxMs) ? maxMs : own;
}

/** A header grpc-timeout for so many milliseconds: in the finest unit that its eight digits allow. */
export function formatGrpcTimeout(ms: number): string {
  for (const unit of ["m", "S", "M"] as const) {
    const count = Math.floor(ms / (grpcUnits[unit] ?? 1));
    if (count < 100_000_000) return `${count}${unit}`;
  }
  return `${Math.min(Math.floor(ms / 3_600_000), 99_999_999)}H`;
}

/** Milliseconds of a header grpc-timeout such as "15S", rounded up; undefined where it is none. */
export function parseGrpcTimeout(value: string | undefined): number | undefined {
  const [, digits, unit = ""] = /^(\d{1,8})([HMSmun])$/.exec(value ?? "") ?? [];
  const factor = grpcUnits[unit];
  return digits === undefined || factor === undefined ? undefined : Math.ceil(Number(digits) * factor);
}
