/** Holds requests until all of them is there. */
import type { Buffer as BufferConfig, BufferPerRoute } from "@meltemi/protos/envoy/extensions/filters/http/buffer/v3";
import type { Exchange, HttpFilterFactory } from "../http/exchange.ts";
import { ConfigError } from "../lib/config-error.ts";
import { payloadTooLarge } from "./payload-too-large.ts";
import { peekBody } from "./peek-body.ts";

/** Bytes; "off" for none. */
type Limit = number | "off";

export const bufferFactory: HttpFilterFactory<BufferConfig, Limit> = {
  name: "envoy.filters.http.buffer",
  type: "envoy.extensions.filters.http.buffer.v3.Buffer",
  routeTypes: ["envoy.extensions.filters.http.buffer.v3.BufferPerRoute"],
  compileRoute(config) {
    const { disabled = false, buffer } = config as BufferPerRoute;
    return disabled ? "off" : compileLimit(buffer ?? {});
  },
  compile(config) {
    const own = compileLimit(config);
    return {
      handle(exchange, next) {
        const limit = exchange.perRoute(bufferFactory) ?? own;
        if (limit === "off" || !exchange.request.body || exchange.request.upgrade !== undefined) return next(exchange);
        return hold(exchange, limit).then(() => next(exchange));
      },
    };
  },
};

function compileLimit({ max_request_bytes: max }: BufferConfig): number {
  if (!max?.value) throw new ConfigError("max_request_bytes", "must be at least 1");
  return max.value;
}

async function hold({ request }: Exchange, limit: number): Promise<void> {
  if (!request.body) return;
  const { bytes, body } = await peekBody(request.body, limit + 1);
  request.body = body;
  if (bytes.length > limit) {
    body.cancel();
    throw payloadTooLarge();
  }
  if (!request.headers.has("content-length")) request.headers.set("content-length", String(bytes.length));
}
