/** Retries of a route. Rules: Istio pilot/pkg/networking/core/route/retry. */
import { packAny, u32 } from "@meltemi/protos";
import type {
  RetryPolicy,
  RetryPolicy_RetryHostPredicate,
  RetryPolicy_RetryPriority,
} from "@meltemi/protos/envoy/config/route/v3";
import type { HttpRetry } from "../../api/virtual-service/schema.ts";
import { hasExtension } from "../capabilities.ts";
import { toDuration } from "../durations.ts";
import type { Capabilities } from "../scope.ts";

const defaultConditions = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes";
const defaultAttempts = 2;
const hostSelectionAttempts = 5;
const codesCondition = "retriable-status-codes";

const previousHosts: RetryPolicy_RetryHostPredicate = {
  name: "envoy.retry_host_predicates.previous_hosts",
  typed_config: packAny("envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate", {}),
};
const previousPriorities: RetryPolicy_RetryPriority = {
  name: "envoy.retry_priorities.previous_priorities",
  typed_config: packAny("envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig", {
    update_frequency: 2,
  }),
};

export interface RetryContext {
  readonly capabilities: Capabilities;
  /** True where the only destination picks hosts by a hash: a retry then stays on its host. */
  readonly hasConsistentHash: boolean;
}

/**
 * The retry policy for a route that asks for `retries` (its own, or the default of the mesh); Envoy-side defaults of
 * Istio where neither says anything. Undefined where retries are turned off by zero attempts.
 */
export function buildRetryPolicy(retries: HttpRetry | undefined, context: RetryContext): RetryPolicy | undefined {
  const predicates = listHostPredicates(retries, context);
  const shared = {
    host_selection_retry_max_attempts: hostSelectionAttempts,
    ...(predicates.length === 0 ? {} : { retry_host_predicate: predicates }),
  };
  if (retries === undefined) return { num_retries: u32(defaultAttempts), retry_on: defaultConditions, ...shared };
  const attempts = retries.attempts ?? 0;
  if (attempts <= 0) return undefined;
  const hasPriority =
    retries.retryRemoteLocalities === true && hasExtension(context.capabilities, previousPriorities.name ?? "");
  return {
    num_retries: u32(attempts),
    ...buildConditions(retries.retryOn),
    ...shared,
    ...(retries.perTryTimeout === undefined ? {} : { per_try_timeout: toDuration(retries.perTryTimeout) }),
    ...(hasPriority ? { retry_priority: previousPriorities } : {}),
    ...(retries.backoff === undefined ? {} : { retry_back_off: { base_interval: toDuration(retries.backoff) } }),
  };
}

function listHostPredicates(
  retries: HttpRetry | undefined,
  context: RetryContext,
): readonly RetryPolicy_RetryHostPredicate[] {
  const isOff = retries === undefined || (retries.attempts ?? 0) <= 0;
  const ignoresPrevious = (isOff ? undefined : retries.retryIgnorePreviousHosts) ?? !context.hasConsistentHash;
  return ignoresPrevious && hasExtension(context.capabilities, previousHosts.name ?? "") ? [previousHosts] : [];
}

/** Splits conditions from HTTP status codes, which Envoy wants in a list of their own. */
function buildConditions(retryOn: string | undefined): Pick<RetryPolicy, "retry_on" | "retriable_status_codes"> {
  if (retryOn === undefined || retryOn === "") return { retry_on: defaultConditions };
  const parts = retryOn.split(",").map((part) => part.trim());
  const codes = parts.filter(isStatusCode).map(Number);
  const conditions = parts.filter((part) => part !== "" && !isStatusCode(part)).join(",");
  if (codes.length === 0) return { retry_on: conditions };
  const needsCondition = !conditions.includes(codesCondition);
  // With codes alone the text starts with a comma, as Istio writes it; Envoy skips the empty part.
  return { retry_on: needsCondition ? `${conditions},${codesCondition}` : conditions, retriable_status_codes: codes };
}

// Codes with a name in Go's net/http; Istio takes other numbers for names of conditions.
const statusRanges: readonly (readonly [number, number])[] = [
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
];

function isStatusCode(text: string): boolean {
  if (!/^\+?\d+$/.test(text)) return false;
  const code = Number(text);
  return statusRanges.some(([first, last]) => code >= first && code <= last);
}
