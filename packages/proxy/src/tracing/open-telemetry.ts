import { durationToMs } from "@meltemi/protos";
import type { GrpcService, HttpService } from "@meltemi/protos/envoy/config/core/v3";
import type { OpenTelemetryConfig } from "@meltemi/protos/envoy/config/trace/v3";
import { callCluster } from "../calls/cluster-call.ts";
import { compileGrpcTarget } from "../calls/grpc-call.ts";
import { sendGrpc } from "../calls/send-grpc.ts";
import { HeaderList } from "../http/header-list.ts";
import { ConfigError, need, within } from "../lib/config-error.ts";
import { encodeSpans } from "./otlp-encode.ts";
import { w3cPropagation } from "./trace-context.ts";
import type { TracingProvider, TracingProviderEnv } from "./tracing-provider.ts";

const defaultTimeoutMs = 5_000;
const grpcPath = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/** OpenTelemetry's protocol over gRPC or HTTP (https://opentelemetry.io/docs/specs/otlp/). Throws ConfigError. */
export function compileOpenTelemetry(wire: OpenTelemetryConfig, env: TracingProviderEnv): TracingProvider {
  if (wire.sampler !== undefined) throw new ConfigError("sampler", `${wire.sampler.name ?? ""} is not supported`);
  const detector = wire.resource_detectors?.[0];
  if (detector !== undefined) throw new ConfigError("resource_detectors[0]", `${detector.name ?? ""} is not supported`);
  const serviceName = wire.service_name || "unknown_service:envoy";
  const { grpc_service: grpc, http_service: http } = wire;
  const send =
    grpc === undefined
      ? within("http_service", () => compileHttp(need("", http), env))
      : within("grpc_service", () => compileGrpc(grpc, env));
  return {
    name: "opentelemetry",
    propagation: w3cPropagation,
    hasLongTraceIds: true,
    sharesSpans: false,
    splitsSpans: false,
    send: (spans) => send(encodeSpans(spans, serviceName)),
  };
}

type SendBytes = (body: Uint8Array) => Promise<void>;

function compileHttp(
  { http_uri: uri, request_headers_to_add: added = [] }: HttpService,
  env: TracingProviderEnv,
): SendBytes {
  const cluster = need("http_uri.cluster", uri?.cluster);
  const target = parseUri(need("http_uri.uri", uri?.uri));
  const own = added.flatMap(({ header }) => [(header?.key ?? "").toLowerCase(), header?.value ?? ""]);
  return async (body) => {
    const answer = await callCluster(env, {
      cluster,
      method: "POST",
      authority: target.host,
      path: target.pathname + target.search,
      headers: new HeaderList(["content-type", "application/x-protobuf", ...own]),
      body,
      timeoutMs: uri?.timeout === undefined ? defaultTimeoutMs : durationToMs(uri.timeout),
    });
    if (answer.status >= 300) throw new Error(`the collector answered with status ${answer.status}`);
  };
}

function parseUri(uri: string): { readonly host: string; readonly pathname: string; readonly search: string } {
  const url = URL.parse(uri);
  if (url === null) throw new ConfigError("http_uri.uri", `"${uri}" is no URL`);
  return url;
}

function compileGrpc(wire: GrpcService, env: TracingProviderEnv): SendBytes {
  const target = compileGrpcTarget(wire, defaultTimeoutMs);
  return (message) => sendGrpc(env, { target, path: grpcPath, message });
}
