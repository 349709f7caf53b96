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
import { tagGrpcRequest, tagGrpcResponse } from "./grpc-tags.ts";
import { compileOpenTelemetry } from "./open-telemetry.ts";
import { compileSampling } from "./sampling.ts";
import { type FinishedSpan, SpanQueue } from "./span-queue.ts";
import { type CompiledTag, compileCustomTags, compileDefaultTags } from "./span-tags.ts";
import type { Extracted, TraceContext } from "./trace-context.ts";
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
  const defaultTags = compileDefaultTags(env, wrappedNumber(wire.max_path_tag_length, defaultPathLength));
  const customTags = compileCustomTags(wire.custom_tags, env);
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
  const spawnsUpstream = wire.spawn_upstream_span?.value === true;
  const queue = new SpanQueue({
    clock: env.clock,
    log: env.log.child({ component: "tracing" }),
    stats: env.stats.scope(`tracing.${provider.name}`),
    send: (spans) => provider.send(spans),
  });
  return new ProviderTracer({
    provider,
    queue,
    defaultTags,
    customTags,
    isChosen,
    now: () => env.clock.now(),
    monotonic: () => env.clock.monotonic(),
    // Where the upstream gets a span of its own, this proxy is a hop by itself: then it is that one that is a client's.
    kind: env.direction === "OUTBOUND" && !spawnsUpstream && !provider.splitsSpans ? "client" : "server",
    spawnsUpstream,
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
  readonly defaultTags: readonly CompiledTag[];
  readonly customTags: readonly CompiledTag[];
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

  start(exchange: Exchange): Span | undefined {
    const { request, info } = exchange;
    const { provider, isChosen, kind, spawnsUpstream } = this.#parts;
    const isTraced = !info.isHealthCheck && isChosen(request.headers);
    const from = provider.propagation.extract(request.headers);
    if (from === "malformed") return undefined;
    const isShared = provider.sharesSpans && kind === "server";
    const context = continueTrace(from, { isTraced, isShared, isLong: provider.hasLongTraceIds });
    info.traceId = context.traceId;
    if (context.isSampled) {
      provider.propagation.inject(request.headers, context);
      return new TracedSpan(this.#parts, { exchange, context, name: request.authority, isShared });
    }
    // Nobody will spawn a span from one that is not reported, but the upstream is to see the ids of such a one.
    provider.propagation.inject(request.headers, spawnsUpstream ? spawnContext(context) : context);
    return undefined;
  }

  finish(span: Span, entry: LogEntry): void {
    setTags(span, this.#parts.defaultTags, entry);
    if (entry.request !== undefined) tagGrpcRequest(span, entry.request);
    tagGrpcResponse(span, entry.responseHeaders?.has("grpc-status") ? entry.responseHeaders : entry.responseTrailers);
    setTags(span, this.#parts.customTags, entry);
    const { responseCode } = entry.info;
    if (responseCode === undefined || responseCode >= 500) span.setTag("error", "true");
    span.finish();
  }

  close(): void {
    this.#parts.queue.close();
  }
}

function setTags(span: Span, tags: readonly CompiledTag[], entry: LogEntry): void {
  for (const { name, read } of tags) {
    const value = read(entry);
    if (value !== undefined && value !== "") span.setTag(name, value);
  }
}

interface Continuation {
  readonly isTraced: boolean;
  /** The span has the id of the client's. */
  readonly isShared: boolean;
  /** New traces have long ids. */
  readonly isLong: boolean;
}

/** A new trace, or a part of the one that the request came with: whether that is sampled was decided before. */
function continueTrace({ context, isSampled }: Extracted, { isTraced, isShared, isLong }: Continuation): TraceContext {
  const isKept = isSampled ?? isTraced;
  if (context === undefined) {
    const spanId = newSpanId();
    const traceId = isLong ? randomBytes(16).toString("hex") : spanId;
    return { traceId, spanId, parentId: undefined, isSampled: isKept };
  }
  const own = { ...context, isSampled: isKept };
  return isShared ? own : spawnContext(own);
}

function spawnContext(parent: TraceContext): TraceContext {
  return { ...parent, spanId: newSpanId(), parentId: parent.spanId };
}

function newSpanId(): string {
  return randomBytes(8).toString("hex");
}

interface SpanStart {
  readonly exchange: Exchange;
  readonly context: TraceContext;
  readonly name: string;
  readonly isUpstream?: boolean;
  /** It may have the id of the client's span. */
  readonly isShared?: boolean;
}

class TracedSpan implements Span {
  readonly spawnsUpstream: boolean;
  readonly #parts: TracerParts;
  readonly #exchange: Exchange;
  readonly #context: TraceContext;
  readonly #isUpstream: boolean;
  readonly #isShared: boolean;
  readonly #startedUs: number;
  readonly #startedAt: number;
  readonly #tags = new Map<string, string>();
  #name: string;
  #isFinished = false;

  constructor(parts: TracerParts, { exchange, context, name, isUpstream = false, isShared = false }: SpanStart) {
    this.#parts = parts;
    this.#exchange = exchange;
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
    // The queue has the tags of one that is over.
    if (!this.#isFinished) this.#tags.set(name, value);
  }

  setOperation(name: string): void {
    this.#name = name;
  }

  inject({ headers }: HttpRequest): void {
    this.#parts.provider.propagation.inject(headers, this.#context);
  }

  spawn(operation: string): Span {
    const context = spawnContext(this.#context);
    return new TracedSpan(this.#parts, { exchange: this.#exchange, context, name: operation, isUpstream: true });
  }

  finish(): void {
    if (this.#isFinished) return;
    if (this.#isUpstream) {
      const { info, request, route } = this.#exchange;
      setTags(this, this.#parts.customTags, { info, request, routeMetadata: route?.metadata });
    }
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
      isShared: this.#isShared,
    };
  }
}
