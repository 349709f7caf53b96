/** When a request is tried again, how often, after how long, and where. */

import { durationToMs, typeNameOf, unpackAs } from "@meltemi/protos";
import type {
  HeaderMatcher,
  RetryPolicy_RetryHostPredicate,
  RetryPolicy_RetryPriority,
  RetryPolicy as RetryPolicyWire,
} from "@meltemi/protos/envoy/config/route/v3";
import type { HeaderList } from "../http/header-list.ts";
import type { HttpRequest } from "../http/message.ts";
import { ConfigError, compileAll, within } from "../lib/config-error.ts";
import { wrappedNumber } from "../lib/wrapped.ts";
import { compileHeaderListMatcher, compileHeaderMatcher } from "../matchers/header-matcher.ts";
import { compileMetadataMatcher } from "../matchers/metadata-matcher.ts";
import type { Host, UpstreamCluster } from "../upstream/types.ts";
import { compileResetHeaders, type ResetHeader } from "./reset-header.ts";

/** Conditions of Envoy's lists, for HTTP and for gRPC. Names that are not known are no condition, as in Envoy. */
const conditions = [
  ...(["5xx", "gateway-error", "connect-failure", "envoy-ratelimited", "retriable-4xx", "refused-stream"] as const),
  ...(["retriable-status-codes", "retriable-headers", "reset", "reset-before-request"] as const),
  ...(["cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable"] as const),
];

export type RetryCondition = (typeof conditions)[number];

export interface RetryPolicy {
  readonly conditions: ReadonlySet<RetryCondition>;
  readonly maxRetries: number;
  readonly perTryTimeoutMs: number;
  readonly perTryIdleTimeoutMs: number;
  readonly statusCodes: readonly number[];
  readonly responseHeaders: readonly ((headers: HeaderList) => boolean)[];
  readonly requestHeaders: readonly ((request: HttpRequest) => boolean)[];
  readonly baseIntervalMs: number | undefined;
  readonly maxIntervalMs: number | undefined;
  readonly resetHeaders: readonly ResetHeader[];
  readonly maxResetIntervalMs: number;
  readonly avoidsPreviousHosts: boolean;
  /** Hosts that no retry goes to; undefined where there is no such rule. */
  readonly omitsHost: ((host: Host, cluster: UpstreamCluster) => boolean) | undefined;
  readonly maxReselections: number;
  /** Retries leave the priorities that were tried after so many attempts; 0 for never. */
  readonly priorityUpdateFrequency: number;
}

const defaultMaxResetIntervalMs = 300_000;

/** A policy that retries nothing by itself: headers of the request may ask for it. */
export const noRetryPolicy = compileRetryPolicy({});

/** Throws ConfigError. */
export function compileRetryPolicy(wire: RetryPolicyWire): RetryPolicy {
  const omitted = compileAll("retry_host_predicate", wire.retry_host_predicate, compilePredicate);
  const omits = omitted.filter((predicate) => typeof predicate === "function");
  if ((wire.retry_options_predicates?.length ?? 0) > 0) {
    throw new ConfigError("retry_options_predicates", "is not supported");
  }
  const { retry_priority: priority, retry_back_off: backOff } = wire;
  const baseIntervalMs = durationToMs(backOff?.base_interval);
  const maxIntervalMs = durationToMs(backOff?.max_interval);
  if (backOff !== undefined && (baseIntervalMs === undefined || baseIntervalMs <= 0)) {
    throw new ConfigError("retry_back_off.base_interval", "must be more than 0");
  }
  if (baseIntervalMs !== undefined && maxIntervalMs !== undefined && maxIntervalMs < baseIntervalMs) {
    throw new ConfigError("retry_back_off.max_interval", "must be at least base_interval");
  }
  return {
    conditions: parseConditions(wire.retry_on ?? ""),
    maxRetries: wrappedNumber(wire.num_retries, 1),
    perTryTimeoutMs: durationToMs(wire.per_try_timeout) ?? 0,
    perTryIdleTimeoutMs: durationToMs(wire.per_try_idle_timeout) ?? 0,
    statusCodes: wire.retriable_status_codes ?? [],
    responseHeaders: compileAll("retriable_headers", wire.retriable_headers, compileHeaderListMatcher),
    requestHeaders: compileAll("retriable_request_headers", wire.retriable_request_headers, compileHeaderMatcher),
    baseIntervalMs,
    maxIntervalMs,
    resetHeaders: compileResetHeaders(wire.rate_limited_retry_back_off),
    maxResetIntervalMs: durationToMs(wire.rate_limited_retry_back_off?.max_interval) ?? defaultMaxResetIntervalMs,
    avoidsPreviousHosts: omitted.includes("previous_hosts"),
    omitsHost: omits.length === 0 ? undefined : (host, cluster) => omits.some((omit) => omit(host, cluster)),
    maxReselections: Number(wire.host_selection_retry_max_attempts ?? 1) || 1,
    priorityUpdateFrequency: priority ? within("retry_priority", () => compileRetryPriority(priority)) : 0,
  };
}

/** Conditions of a list such as "5xx,reset", of a route or of a request's header. */
export function parseConditions(list: string): ReadonlySet<RetryCondition> {
  const names = new Set(list.split(",").map((name) => name.trim()));
  return new Set(conditions.filter((condition) => names.has(condition)));
}

/** The policy with what a trusted client's x-envoy-* headers add to it; the headers are removed. */
export function extendRetryPolicy(policy: RetryPolicy, headers: HeaderList): RetryPolicy {
  const retryOn = take(headers, "x-envoy-retry-on");
  const grpcOn = take(headers, "x-envoy-retry-grpc-on");
  const maxRetries = take(headers, "x-envoy-max-retries");
  const codes = take(headers, "x-envoy-retriable-status-codes");
  const names = take(headers, "x-envoy-retriable-header-names");
  if ((retryOn ?? grpcOn ?? maxRetries ?? codes ?? names) === undefined) return policy;
  const added = parseConditions(`${retryOn ?? ""},${grpcOn ?? ""}`);
  return {
    ...policy,
    conditions: policy.conditions.union(added),
    maxRetries: /^\d+$/.test(maxRetries ?? "") ? Number(maxRetries) : policy.maxRetries,
    statusCodes: [...policy.statusCodes, ...splitList(codes).filter(isNumber).map(Number)],
    responseHeaders: [...policy.responseHeaders, ...splitList(names).map(presenceOf)],
  };
}

function take(headers: HeaderList, name: string): string | undefined {
  const value = headers.joined(name);
  if (value !== undefined) headers.remove(name);
  return value;
}

function splitList(list: string | undefined): readonly string[] {
  return (list ?? "")
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
}

function isNumber(text: string): boolean {
  return /^\d+$/.test(text);
}

function presenceOf(name: string): (headers: HeaderList) => boolean {
  const wire: HeaderMatcher = { name, present_match: true };
  return compileHeaderListMatcher(wire);
}

const predicates = {
  previous: "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
  canary: "envoy.extensions.retry.host.omit_canary_hosts.v3.OmitCanaryHostsPredicate",
  metadata: "envoy.extensions.retry.host.omit_host_metadata.v3.OmitHostMetadataConfig",
} as const;

type OmitHost = (host: Host, cluster: UpstreamCluster) => boolean;

/** Istio names the first by its name alone, without a configuration. */
function compilePredicate(wire: RetryPolicy_RetryHostPredicate): "previous_hosts" | OmitHost {
  const { name = "", typed_config: config } = wire;
  const type = typeNameOf(config?.type_url ?? "");
  if (type === predicates.previous || (type === "" && name === "envoy.retry_host_predicates.previous_hosts")) {
    return "previous_hosts";
  }
  if (type === predicates.canary || (type === "" && name === "envoy.retry_host_predicates.omit_canary_hosts")) {
    return (host) => lbMetadata(host)["canary"] === true;
  }
  const metadata = config && unpackAs(predicates.metadata, config);
  if (metadata === undefined) throw new ConfigError("", `the extension ${name} is not supported`);
  const wanted = metadata.metadata_match?.filter_metadata?.["envoy.lb"]?.fields ?? {};
  const tests = Object.entries(wanted).map(([key, value]) => compileEquality(key, value.string_value ?? ""));
  return (host) => tests.length > 0 && tests.every((test) => test(host));
}

function compileEquality(key: string, value: string): (host: Host) => boolean {
  const matcher = { filter: "envoy.lb", path: [{ key }], value: { string_match: { exact: value } } };
  const test = compileMetadataMatcher(matcher);
  return (host) => test(new Map([["envoy.lb", lbMetadata(host)]]));
}

function lbMetadata(host: Host): Readonly<Record<string, unknown>> {
  const metadata = host.metadata["envoy.lb"];
  return typeof metadata === "object" && metadata !== null ? (metadata as Readonly<Record<string, unknown>>) : {};
}

const previousPriorities = "envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig";

function compileRetryPriority({ name = "", typed_config: config }: RetryPolicy_RetryPriority): number {
  const known = config && unpackAs(previousPriorities, config);
  if (known === undefined) throw new ConfigError("", `the extension ${name} is not supported`);
  return known.update_frequency ?? 1;
}
