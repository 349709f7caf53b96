/** Unary gRPC for clients of HTTP/1.1, which read no trailers: they become headers, and failures statuses. */
import type { Config } from "@meltemi/protos/envoy/extensions/filters/http/grpc_http1_bridge/v3";
import { bodyOf, collect } from "../../http/body.ts";
import type { Exchange, HttpFilterFactory, HttpHandler } from "../../http/exchange.ts";
import type { HttpResponse } from "../../http/message.ts";
import { isGrpcType } from "../../http/rescue.ts";
import { ConfigError } from "../../lib/config-error.ts";

/** The whole answer is held: its head says how it ends. */
const answerLimit = 1024 * 1024;

export const grpcHttp1BridgeFactory: HttpFilterFactory<Config> = {
  name: "envoy.filters.http.grpc_http1_bridge",
  type: "envoy.extensions.filters.http.grpc_http1_bridge.v3.Config",
  compile(config) {
    if (config.upgrade_protobuf_to_grpc) throw new ConfigError("upgrade_protobuf_to_grpc", "is not supported");
    return {
      handle(exchange, next) {
        const { headers, protocol } = exchange.request;
        if (protocol === "HTTP/2" || !isGrpcType(headers.get("content-type"))) return next(exchange);
        return bridge(exchange, next);
      },
    };
  },
};

async function bridge(exchange: Exchange, next: HttpHandler): Promise<HttpResponse> {
  const response = await next(exchange);
  const { bytes, trailers } = response.body
    ? await collect(response.body, answerLimit)
    : { bytes: undefined, trailers: undefined };
  response.body = bytes && bodyOf(bytes);
  if (!trailers) return response;
  for (const name of ["grpc-status", "grpc-message"]) {
    const value = trailers.get(name);
    if (value !== undefined) response.headers.set(name, value);
  }
  // The client would take a call that failed for one that went well.
  if (trailers.get("grpc-status") !== "0") response.status = 503;
  response.headers.set("content-length", String(bytes?.length ?? 0));
  return response;
}
