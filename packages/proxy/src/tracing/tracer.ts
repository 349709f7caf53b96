import { randomBytes } from "node:crypto";
import { ProtoError, typeNameOf, unpackAs } from "@meltemi/protos";
import type { Tracing_Http } from "@meltemi/protos/envoy/config/trace/v3";
import type { HttpConnectionManager_Tracing } from "@meltemi/protos/envoy/extensions/filters/network/http_connection_manager/v3";
import type { LogEntry } from "../access-log/types.ts";
import type { HttpFilterEnv } from "../config/env.ts";
import type { Exchange } from "../http/exchange.ts";
import type { HttpRequest } from "../http/message.ts";
import { ConfigError, need, within } from "../lib/config-error.ts";
import { wrappedNumber } from "../lib/wrapped.ts";
import { compileOpenTelemetry } from "./open-telemetry.ts";
import { compileSampling } from "./sampling.ts";
import { type FinishedSpan, SpanQueue } from "./span-queue.ts";
import { type CompiledTag, compileCustomTags, compileDefaultTags } from "./span-tags.ts";
import type { TraceContext } from "./trace-context.ts";
import type { TracingProvider, TracingProviderEnv } from "./tracing-provider.ts";
import type { Span, Tracer } from "./types.ts";
import { compileZipkin } from "./zipkin.ts";

const defaultPathLength = 256;

/**
 * Tracing of a connection manager. Throws ConfigError. Without a provider requests are chosen and marked, and nothing is
 * reported, as in Envoy. `verbose` adds no answer and no tag, and is let pass.
 */
export function createTracer(wire: HttpConnectionManager_Tracing, env: HttpFilterEnv): Tracer {
  const isChosen = compileSampling(wire, env);
  const tags = [
    ...compileDefaultTags(env, wrappedNumber(wire.max_path_tag_length, defaultPathLength)),
    ...compileCustomTags(wire.custom_tags, env),
  ];
  const { provider: config } = wire;
  if (config === undefined) {
    return {
      start({ request, info }) {
        if (!info.isHealthCheck) isChosen(request.headers);
        return undefined;
      },
      finish: () => undefined,
      close: () => undefined,
    };
  }
  const provider = within("provider.typed_config", () =>
    compileProvider(config, { ...env, serviceName: env.node.cluster ?? "" }),
  );
  const queue = new SpanQueue({
    clock: env.clock,
    log: env.log.child({ component: "tracing" }),
    stats: env.stats.scope(`tracing.${provider.name}`),
    send: (spans) => provider.send(spans),
  });
  return new ProviderTracer({
    provider,
    queue,
    tags,
    isChosen,
    now: () => env.clock.now(),
    monotonic: () => env.clock.monotonic(),
    kind: env.direction === "OUTBOUND" ? "client" : "server",
    spawnsUpstream: wire.spawn_upstream_span?.value === true,
  });
}

function compileProvider({ name = "", typed_config: config }: Tracing_Http, env: TracingProviderEnv): TracingProvider {
  const any = need("", config);
  const type = typeNameOf(any.type_url ?? "");
  try {
    switch (type) {
      case "envoy.config.trace.v3.ZipkinConfig":
        return compileZipkin(need("", unpackAs(type, any)), env);
      case "envoy.config.trace.v3.OpenTelemetryConfig":
        return compileOpenTelemetry(need("", unpackAs(type, any)), env);
      default:
        throw new ConfigError("", `the tracer ${type || name} is not supported`);
    }
  } catch (cause: unknown) {
    if (cause instanceof ProtoError) throw new ConfigError("", cause.message);
    throw cause;
  }
}

interface TracerParts {
  readonly provider: TracingProvider;
  readonly queue: SpanQueue;
  readonly tags: readonly CompiledTag[];
  readonly isChosen: (headers: HttpRequest["headers"]) => boolean;
  readonly now: () => number;
  readonly monotonic: () => number;
  readonly kind: "server" | "client";
  readonly spawnsUpstream: boolean;
}

class ProviderTracer implements Tracer {
  readonly #parts: TracerParts;

  constructor(parts: TracerParts) {
    this.#parts = parts;
  }

  start({ request, info }: Exchange): Span | undefined {
    const { provider, isChosen } = this.#parts;
    const isTraced = !info.isHealthCheck && isChosen(request.headers);
    const from = provider.propagation.extract(request.headers);
    const context = continueTrace(provider, { from, isTraced });
    provider.propagation.inject(request.headers, context);
    info.traceId = context.traceId;
    return context.isSampled === true
      ? new TracedSpan(this.#parts, {
          context,
          name: request.authority,
          isShared: provider.sharesSpans && from !== undefined,
        })
      : undefined;
  }

  finish(span: Span, entry: LogEntry): void {
    for (const { name, read } of this.#parts.tags) {
      const value = read(entry);
      if (value !== undefined && value !== "") span.setTag(name, value);
    }
    const { responseCode } = entry.info;
    if (responseCode === undefined || responseCode >= 500) span.setTag("error", "true");
    span.finish();
  }

  close(): void {
    this.#parts.queue.close();
  }
}

/** A new trace, or a part of the one that the request came with: whether that is sampled was decided before. */
function continueTrace(
  { hasLongTraceIds, sharesSpans }: TracingProvider,
  { from, isTraced }: { readonly from: TraceContext | undefined; readonly isTraced: boolean },
): TraceContext {
  const spanId = randomBytes(8).toString("hex");
  if (from === undefined) {
    const traceId = hasLongTraceIds ? randomBytes(16).toString("hex") : spanId;
    return { traceId, spanId, parentId: undefined, isSampled: isTraced };
  }
  const isSampled = from.isSampled ?? isTraced;
  return sharesSpans ? { ...from, isSampled } : { traceId: from.traceId, spanId, parentId: from.spanId, isSampled };
}

interface SpanStart {
  readonly context: TraceContext;
  readonly name: string;
  readonly isUpstream?: boolean;
  /** It has the id of the client's span. */
  readonly isShared?: boolean;
}

class TracedSpan implements Span {
  readonly spawnsUpstream: boolean;
  readonly #parts: TracerParts;
  readonly #context: TraceContext;
  readonly #isUpstream: boolean;
  readonly #isShared: boolean;
  readonly #startedUs: number;
  readonly #startedAt: number;
  readonly #tags = new Map<string, string>();
  #name: string;
  #isFinished = false;

  constructor(parts: TracerParts, { context, name, isUpstream = false, isShared = false }: SpanStart) {
    this.#parts = parts;
    this.#context = context;
    this.#name = name;
    this.#isUpstream = isUpstream;
    this.#isShared = isShared;
    this.spawnsUpstream = parts.spawnsUpstream && !isUpstream;
    this.#startedUs = parts.now() * 1000;
    this.#startedAt = parts.monotonic();
  }

  get traceId(): string {
    return this.#context.traceId;
  }

  get spanId(): string {
    return this.#context.spanId;
  }

  setTag(name: string, value: string): void {
    this.#tags.set(name, value);
  }

  setOperation(name: string): void {
    this.#name = name;
  }

  inject({ headers }: HttpRequest): void {
    this.#parts.provider.propagation.inject(headers, this.#context);
  }

  spawn(operation: string): Span {
    const spanId = randomBytes(8).toString("hex");
    const context = { ...this.#context, spanId, parentId: this.#context.spanId };
    return new TracedSpan(this.#parts, { context, name: operation, isUpstream: true });
  }

  finish(): void {
    if (this.#isFinished) return;
    this.#isFinished = true;
    this.#parts.queue.push(this.#toFinished());
  }

  #toFinished(): FinishedSpan {
    const { traceId, spanId, parentId } = this.#context;
    const kind = this.#isUpstream ? "client" : this.#parts.kind;
    return {
      ...{ traceId, spanId, parentId, kind },
      name: this.#name,
      startedUs: this.#startedUs,
      durationUs: Math.round((this.#parts.monotonic() - this.#startedAt) * 1000),
      tags: this.#tags,
      isError: this.#tags.has("error"),
      isShared: this.#isShared && kind === "server",
    };
  }
}
