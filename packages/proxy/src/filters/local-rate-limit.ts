/** Rate limits that this proxy keeps itself, in buckets of tokens. */

import { durationToMs } from "@meltemi/protos";
import type { LocalRateLimitDescriptor } from "@meltemi/protos/envoy/extensions/common/ratelimit/v3";
import type { LocalRateLimit } from "@meltemi/protos/envoy/extensions/filters/http/local_ratelimit/v3";
import type { TokenBucket } from "@meltemi/protos/envoy/type/v3";
import type { ProxyEnv } from "../config/env.ts";
import { type Exchange, type HttpFilterFactory, type HttpHandler, LocalReplyError } from "../http/exchange.ts";
import { HeaderList } from "../http/header-list.ts";
import type { HttpResponse } from "../http/message.ts";
import type { Clock } from "../lib/clock.ts";
import { ConfigError, compileAll, need, within } from "../lib/config-error.ts";
import type { Counter } from "../lib/stats.ts";
import { wrappedBool, wrappedNumber } from "../lib/wrapped.ts";
import { compileHeaderMutation, type HeaderMutation } from "../router/header-mutation.ts";
import { withAnswer } from "./answer.ts";
import { statusOf } from "./http-status.ts";
import { createDescriptorSource, type Descriptor } from "./rate-limit-descriptors.ts";

interface CompiledLimit {
  readonly isEnabled: () => boolean;
  readonly isEnforced: () => boolean;
  readonly limiterFor: (exchange: Exchange) => Limiter;
  readonly listDescriptors: (exchange: Exchange) => readonly Descriptor[];
  readonly status: number;
  readonly grpcStatus: number | undefined;
  readonly tellsLimits: boolean;
  readonly changeResponse: HeaderMutation | undefined;
  readonly changeRequest: HeaderMutation | undefined;
  readonly counters: Readonly<Record<"enabled" | "ok" | "rate_limited" | "enforced", Counter>>;
}

const typeName = "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit";

export const localRateLimitFactory: HttpFilterFactory<LocalRateLimit, CompiledLimit> = {
  name: "envoy.filters.http.local_ratelimit",
  type: typeName,
  routeTypes: [typeName],
  compileRoute(config, env) {
    const wire = config as LocalRateLimit;
    if (!wire.token_bucket) throw new ConfigError("token_bucket", "must be set for per filter configs");
    return compileLimit(wire, env);
  },
  compile(config, env) {
    const own = compileLimit(config, env);
    return {
      handle(exchange, next) {
        const limit = exchange.perRoute(localRateLimitFactory) ?? own;
        return limit.isEnabled() ? limitRequest(limit, exchange, next) : next(exchange);
      },
    };
  },
};

function limitRequest(limit: CompiledLimit, exchange: Exchange, next: HttpHandler): Promise<HttpResponse> {
  const { counters } = limit;
  counters.enabled.inc();
  const { isAllowed, bucket } = limit.limiterFor(exchange).take(limit.listDescriptors(exchange));
  const isRefused = !isAllowed && limit.isEnforced();
  (isAllowed ? counters.ok : counters.rate_limited).inc();
  const entry = { info: exchange.info, request: exchange.request };
  if (!isAllowed && !isRefused) limit.changeRequest?.(exchange.request.headers, entry);
  if (!isRefused) {
    if (!limit.tellsLimits || !bucket) return next(exchange);
    return withAnswer(exchange, next, ({ headers }) => tellLimits(headers, bucket));
  }
  counters.enforced.inc();
  const headers = new HeaderList();
  limit.changeResponse?.(headers, entry);
  if (limit.tellsLimits && bucket) tellLimits(headers, bucket);
  const { status, grpcStatus } = limit;
  const reply = { status, body: "local_rate_limited", details: "local_rate_limited", headers, flags: ["RL"] as const };
  return Promise.reject(new LocalReplyError(grpcStatus === undefined ? reply : { ...reply, grpcStatus }));
}

function tellLimits(headers: HeaderList, bucket: Bucket): void {
  headers.append("x-ratelimit-limit", String(bucket.max));
  headers.append("x-ratelimit-remaining", String(bucket.remaining()));
  headers.append("x-ratelimit-reset", String(bucket.secondsToNext()));
}

/** Throws ConfigError. */
function compileLimit(wire: LocalRateLimit, env: ProxyEnv): CompiledLimit {
  if (wire.local_cluster_rate_limit) throw new ConfigError("local_cluster_rate_limit", "is not supported");
  const { filter_enabled: enabled, filter_enforced: enforced } = wire;
  const createLimiter = compileLimiter(wire, env.clock);
  const shared = createLimiter();
  const describe = createDescriptorSource(env);
  const stats = env.stats.scope(`${need("stat_prefix", wire.stat_prefix)}.http_local_rate_limit`);
  const status = statusOf(wire.status) ?? 429;
  const options = { stage: wire.stage ?? 0, virtualHost: wire.vh_rate_limits ?? "OVERRIDE", isDisabled: () => true };
  return {
    isEnabled: enabled ? () => env.runtime.isChosen(enabled, env.random()) : () => false,
    isEnforced: enforced ? () => env.runtime.isChosen(enforced, env.random()) : () => false,
    limiterFor: wire.local_rate_limit_per_downstream_connection
      ? (exchange) => limiterOfConnection(exchange, createLimiter)
      : () => shared,
    listDescriptors: wire.descriptors?.length ? (exchange) => describe(exchange, options) : () => [],
    status: status >= 400 ? status : 429,
    grpcStatus: wire.rate_limited_as_resource_exhausted ? 8 : undefined,
    tellsLimits: wire.enable_x_ratelimit_headers === "DRAFT_VERSION_03",
    changeResponse: compileHeaderMutation(wire.response_headers_to_add, undefined, "response"),
    changeRequest: compileHeaderMutation(wire.request_headers_to_add_when_not_enforced, undefined, "request"),
    counters: {
      enabled: stats.counter("enabled"),
      ok: stats.counter("ok"),
      rate_limited: stats.counter("rate_limited"),
      enforced: stats.counter("enforced"),
    },
  };
}

const connectionKey = "per_connection_local_rate_limiter";

function limiterOfConnection({ connection }: Exchange, create: () => Limiter): Limiter {
  const known = connection.filterState.get(connectionKey)?.value;
  if (known instanceof Limiter) return known;
  const limiter = create();
  connection.filterState.set(connectionKey, { text: connectionKey, value: limiter });
  return limiter;
}

interface BucketPlan {
  readonly max: number;
  /** Milliseconds until one comes back. */
  readonly msPerToken: number;
}

interface DescriptorPlan {
  readonly entries: readonly { readonly key: string; readonly value: string }[];
  readonly bucket: BucketPlan;
}

function compileLimiter(wire: LocalRateLimit, clock: Clock): () => Limiter {
  const { token_bucket: bucket } = wire;
  const plan = bucket && within("token_bucket", () => compileBucket(bucket));
  const descriptors = compileAll("descriptors", wire.descriptors, compileDescriptor);
  // The scarcest comes first: it decides, and its state is what clients are told.
  const sorted = descriptors.toSorted((one, other) => other.bucket.msPerToken - one.bucket.msPerToken);
  const takesDefault = wrappedBool(wire.always_consume_default_token_bucket, true);
  return () => new Limiter({ clock, plan, descriptors: sorted, takesDefault });
}

function compileDescriptor(wire: LocalRateLimitDescriptor): DescriptorPlan {
  const bucket = within("token_bucket", () => compileBucket(need("", wire.token_bucket)));
  const entries = (wire.entries ?? []).map(({ key = "", value = "" }) => ({ key, value }));
  if (entries.length === 0) throw new ConfigError("entries", "must not be empty");
  return { entries, bucket };
}

function compileBucket(wire: TokenBucket): BucketPlan {
  const intervalMs = durationToMs(wire.fill_interval) ?? 0;
  const max = wire.max_tokens ?? 0;
  if (intervalMs < 50) throw new ConfigError("fill_interval", "must be at least 50ms");
  if (max < 1) throw new ConfigError("max_tokens", "must be at least 1");
  return { max, msPerToken: intervalMs / wrappedNumber(wire.tokens_per_fill, 1) };
}

/** Tokens that come back at an even rate. */
class Bucket {
  readonly max: number;
  readonly #msPerToken: number;
  readonly #clock: Clock;
  #tokens: number;
  #at: number;

  constructor({ max, msPerToken }: BucketPlan, clock: Clock) {
    this.max = max;
    this.#msPerToken = msPerToken;
    this.#clock = clock;
    this.#tokens = max;
    this.#at = clock.monotonic();
  }

  take(): boolean {
    this.#fill();
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }

  remaining(): number {
    this.#fill();
    return Math.floor(this.#tokens);
  }

  /** Seconds until there is a token; 0 where there is one. */
  secondsToNext(): number {
    this.#fill();
    return this.#tokens >= 1 ? 0 : Math.ceil(((1 - this.#tokens) * this.#msPerToken) / 1000);
  }

  #fill(): void {
    const now = this.#clock.monotonic();
    this.#tokens = Math.min(this.max, this.#tokens + (now - this.#at) / this.#msPerToken);
    this.#at = now;
  }
}

interface LimiterOptions {
  readonly clock: Clock;
  readonly plan: BucketPlan | undefined;
  readonly descriptors: readonly DescriptorPlan[];
  readonly takesDefault: boolean;
}

interface Verdict {
  readonly isAllowed: boolean;
  /** The bucket that clients are told of. */
  readonly bucket: Bucket | undefined;
}

/** Buckets that are made for values as they come; the oldest gives way. */
const maxDynamicBuckets = 20;

class Limiter {
  readonly #options: LimiterOptions;
  readonly #default: Bucket | undefined;
  readonly #fixed: readonly Bucket[];
  readonly #dynamic = new Map<string, Bucket>();

  constructor(options: LimiterOptions) {
    const { plan, clock, descriptors } = options;
    this.#options = options;
    this.#default = plan && new Bucket(plan, clock);
    this.#fixed = descriptors.map(({ bucket }) => new Bucket(bucket, clock));
  }

  take(descriptors: readonly Descriptor[]): Verdict {
    const buckets = descriptors.length === 0 ? [] : this.#findBuckets(descriptors);
    for (const bucket of buckets) if (!bucket.take()) return { isAllowed: false, bucket };
    const [scarcest] = buckets;
    if (scarcest && !this.#options.takesDefault) return { isAllowed: true, bucket: scarcest };
    const isAllowed = this.#default?.take() ?? true;
    return { isAllowed, bucket: isAllowed ? (scarcest ?? this.#default) : this.#default };
  }

  #findBuckets(given: readonly Descriptor[]): readonly Bucket[] {
    return this.#options.descriptors.flatMap((plan, index) => {
      const match = given.find(({ entries }) => fits(plan, entries));
      if (!match) return [];
      return plan.entries.every(({ value }) => value !== "")
        ? (this.#fixed[index] ?? [])
        : this.#findDynamic(plan, match);
    });
  }

  /** A descriptor with an entry without a value has a bucket for each value that comes. */
  #findDynamic(plan: DescriptorPlan, { entries }: Descriptor): Bucket {
    const key = JSON.stringify(entries);
    const bucket = this.#dynamic.get(key) ?? new Bucket(plan.bucket, this.#options.clock);
    this.#dynamic.delete(key);
    this.#dynamic.set(key, bucket);
    const [oldest] = this.#dynamic.keys();
    if (this.#dynamic.size > maxDynamicBuckets && oldest !== undefined) this.#dynamic.delete(oldest);
    return bucket;
  }
}

function fits(plan: DescriptorPlan, entries: Descriptor["entries"]): boolean {
  if (entries.length !== plan.entries.length) return false;
  return plan.entries.every(({ key, value }, index) => {
    const entry = entries[index];
    return entry?.key === key && (value === "" || entry.value === value);
  });
}
