/** One question to a host about its health. */
import type { HostPools } from "../pool/types.ts";
import type { Host } from "../types.ts";

export type CheckResult =
  | { readonly kind: "passed"; readonly isDegraded: boolean }
  /** It answered, and badly: it is unhealthy at once, unless that kind of answer counts as one of several. */
  | { readonly kind: "failed"; readonly isRetriable: boolean }
  /** It did not answer. */
  | { readonly kind: "unreachable" };

export interface CheckTarget {
  /** The host, at the address at which it is checked. */
  readonly host: Host;
  /** health_check_config.hostname of the endpoint; "" where there is none. */
  readonly hostname: string;
  readonly pools: HostPools;
  /** Aborted when the time is up, or nobody wants to know any more. */
  readonly signal: AbortSignal;
}

/** Rejects where the host could not be asked: it is unreachable. */
export type Check = (target: CheckTarget) => Promise<CheckResult>;

export interface CompiledCheck {
  readonly run: Check;
  /** "http1" or "http2" where requests are sent. */
  readonly protocol: "http1" | "http2" | undefined;
}
