import type { ZipkinConfig } from "@meltemi/protos/envoy/config/trace/v3";
import { callCluster } from "../calls/cluster-call.ts";
import { HeaderList } from "../http/header-list.ts";
import { findLocalAddress } from "../http/local-address.ts";
import { ConfigError, need } from "../lib/config-error.ts";
import { wrappedBool } from "../lib/wrapped.ts";
import type { FinishedSpan } from "./span-queue.ts";
import { b3Propagation } from "./trace-context.ts";
import type { TracingProvider, TracingProviderEnv } from "./tracing-provider.ts";

const timeoutMs = 5_000;

/** Zipkin's JSON of version 2 (https://zipkin.io/zipkin-api/). Throws ConfigError. */
export function compileZipkin(wire: ZipkinConfig, env: TracingProviderEnv): TracingProvider {
  const cluster = need("collector_cluster", wire.collector_cluster);
  const path = need("collector_endpoint", wire.collector_endpoint);
  const { collector_endpoint_version: version = "HTTP_JSON" } = wire;
  if (version !== "HTTP_JSON") throw new ConfigError("collector_endpoint_version", `${version} is not supported`);
  // Envoy's own address, which has no port.
  const endpoint = { serviceName: env.serviceName, ipv4: findLocalAddress(), port: 0 };
  return {
    name: "zipkin",
    propagation: b3Propagation,
    hasLongTraceIds: wire.trace_id_128bit === true,
    sharesSpans: wrappedBool(wire.shared_span_context, true),
    splitsSpans: wire.split_spans_for_request === true,
    async send(spans) {
      const answer = await callCluster(env, {
        cluster,
        path,
        method: "POST",
        authority: wire.collector_hostname || cluster,
        headers: new HeaderList(["content-type", "application/json"]),
        body: Buffer.from(JSON.stringify(spans.map((span) => toZipkin(span, endpoint)))),
        timeoutMs,
      });
      if (answer.status >= 300) throw new Error(`the collector answered with status ${answer.status}`);
    },
  };
}

function toZipkin(span: FinishedSpan, localEndpoint: unknown): unknown {
  return {
    traceId: span.traceId,
    id: span.spanId,
    ...(span.parentId === undefined ? {} : { parentId: span.parentId }),
    kind: span.kind.toUpperCase(),
    name: span.name,
    timestamp: span.startedUs,
    duration: Math.max(1, span.durationUs),
    localEndpoint,
    // "Server send" or "client receive": the end of the span, which Envoy notes beside its duration.
    annotations: [{ timestamp: span.startedUs + span.durationUs, value: span.kind === "server" ? "ss" : "cr" }],
    tags: Object.fromEntries(span.tags),
    ...(span.isShared ? { shared: true } : {}),
  };
}
