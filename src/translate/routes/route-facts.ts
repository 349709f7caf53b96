/** What of a scope and its mesh configuration decides about HTTP routes, read in one place. */
import type { HttpRetry } from "../../api/virtual-service/schema.ts";
import { memoByIdentity } from "../../lib/memo.ts";
import { hasExtension } from "../capabilities.ts";
import type { Capabilities, ScopeView } from "../scope.ts";
import { corsFilter } from "./cors.ts";
import { faultFilter } from "./fault.ts";

export interface RouteFacts {
  /** Equal text, equal facts: part of the place where built routes are kept. */
  readonly id: string;
  readonly capabilities: Capabilities;
  /** The policy of the mesh for routes that say nothing of retries. */
  readonly defaultRetries: HttpRetry | undefined;
  readonly includesAttemptCount: boolean;
  /** Whether a rewritten host is passed on in x-forwarded-host. */
  readonly appendsForwardedHost: boolean;
}

/** Extensions that routes refer to; others do not change them. */
const routeExtensions = [
  "envoy.retry_host_predicates.previous_hosts",
  "envoy.retry_priorities.previous_priorities",
  corsFilter,
  faultFilter,
];

/** Facts of a view; the same object for the same view. */
export const routeFactsOf: (view: ScopeView) => RouteFacts = memoByIdentity((view: ScopeView): RouteFacts => {
  const { mesh } = view.snapshot;
  const { capabilities } = view.key;
  const headers = mesh.defaultConfig?.proxyHeaders;
  const facts = {
    defaultRetries: mesh.defaultHttpRetryPolicy,
    includesAttemptCount: headers?.attemptCount?.disabled !== true,
    appendsForwardedHost: headers?.xForwardedHost?.enabled === true,
  };
  const missing = routeExtensions.filter((name) => !hasExtension(capabilities, name));
  return { ...facts, capabilities, id: JSON.stringify([facts, missing]) };
});
