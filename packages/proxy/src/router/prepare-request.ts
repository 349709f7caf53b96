/** Makes of a request what goes to the upstream: headers, host and path as the route has them. */
import type { Exchange } from "../http/exchange.ts";
import type { HeaderList } from "../http/header-list.ts";
import { isGrpcType } from "../http/rescue.ts";
import type { AnswerCount } from "./answer-count.ts";
import type { CompiledRoute } from "./compiled-route.ts";
import type { ForwardRules } from "./forward-rules.ts";
import { entryOf, runMutations } from "./header-mutation.ts";
import { type HostOptions, updateAuthority } from "./host-rewrite.ts";
import { invalidHeader } from "./local-replies.ts";
import type { PathRewrite } from "./path-rewrite.ts";
import { extendRetryPolicy, type RetryPolicy } from "./retry-policy.ts";
import type { RouterEnv } from "./router-env.ts";
import { applyTimeouts, type Timeouts } from "./timeouts.ts";

export interface PrepareOptions {
  readonly rules: ForwardRules;
  readonly env: RouterEnv;
  /** The client may have said how it wants to be served. */
  readonly hasEnvoy: boolean;
}

export interface PreparedRequest {
  readonly timeouts: Timeouts;
  /** Undefined where nothing is tried again. */
  readonly retries: RetryPolicy | undefined;
}

/**
 * Before a host is chosen: hashes are of what is sent, and so is what a log says of a request for which there is no host.
 */
export function prepareRequest(
  exchange: Exchange,
  route: CompiledRoute,
  { rules, env, hasEnvoy }: PrepareOptions,
): PreparedRequest {
  const { request } = exchange;
  const { suppressesHeaders } = env;
  const { retry } = rules;
  const timeouts = applyTimeouts(request, rules, {
    perTryMs: retry.perTryTimeoutMs,
    perTryIdleMs: retry.perTryIdleTimeoutMs,
    isGrpc: rules.grpcTimeout !== undefined && isGrpcType(request.headers.get("content-type")),
    hasNoEnvoyHeaders: !hasEnvoy,
    respectsExpected: env.respectsExpectedTimeout,
    suppressesHeaders,
  });
  const policy = hasEnvoy ? extendRetryPolicy(retry, request.headers) : retry;
  const canRetry = policy.requestHeaders.length === 0 || policy.requestHeaders.some((test) => test(request));
  tellAttempt(exchange, route);
  const { requestMutations } = route.rules;
  if (requestMutations.length > 0) runMutations(requestMutations, request.headers, entryOf(exchange));
  // The host of a weight is no rewrite of the route: nobody is told of the former.
  if (rules.weightHost !== undefined) request.authority = rules.weightHost;
  const host = rules.rewriteHost?.(request);
  if (host !== undefined) {
    updateAuthority(request, host, hostOptions(rules, suppressesHeaders));
  }
  rewritePath(exchange, rules.rewritePath, suppressesHeaders);
  return { timeouts, retries: policy.conditions.size > 0 && canRetry ? policy : undefined };
}

/** Where the virtual host wants it, the upstream is told which attempt it gets. */
export function tellAttempt({ request, info }: Exchange, { rules }: CompiledRoute): void {
  if (rules.host.countsAttemptsInRequest) request.headers.set("x-envoy-attempt-count", String(info.attempts));
}

/** How the upstream is told of the host that the client asked for. */
export function hostOptions({ appendsForwardedHost }: ForwardRules, suppressesHeaders: boolean): HostOptions {
  return { appendsForwardedHost, tellsOriginal: !suppressesHeaders };
}

/** The path that the client asked for is told to the upstream, unless such headers are suppressed. */
export function rewritePath({ request }: Exchange, rewrite: PathRewrite | undefined, suppressesHeaders: boolean): void {
  if (rewrite === undefined) return;
  const former = request.path;
  request.path = rewrite(former);
  if (!suppressesHeaders) request.headers.set("x-envoy-original-path", former);
}

/** One look tells that none of the headers is there with which clients direct the router. */
export function hasEnvoyHeaders({ raw }: HeaderList): boolean {
  for (let index = 0; index < raw.length; index += 2) if (raw[index]?.startsWith("x-envoy-")) return true;
  return false;
}

/** Reads what a trusted client says; true where it wants 204 in the place of a timeout's 504. Throws LocalReplyError. */
export function readEnvoyHeaders(headers: HeaderList, env: RouterEnv, count: AnswerCount): boolean {
  for (const { name, isValid } of env.strictChecks) {
    const value = headers.get(name);
    if (value !== undefined && !isValid(value)) throw invalidHeader(name, value);
  }
  count.readAlternativeName(headers);
  return headers.remove("x-envoy-upstream-rq-timeout-alt-response");
}
