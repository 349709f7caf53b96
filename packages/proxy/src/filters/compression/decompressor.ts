/** Undoes the compression of requests and answers. */

import type { RuntimeFeatureFlag } from "@meltemi/protos/envoy/config/core/v3";
import type {
  Decompressor,
  Decompressor_CommonDirectionConfig,
} from "@meltemi/protos/envoy/extensions/filters/http/decompressor/v3";
import type { HttpFilterEnv } from "../../config/env.ts";
import type { BodySource } from "../../http/body.ts";
import type { HttpFilterFactory } from "../../http/exchange.ts";
import { HeaderList } from "../../http/header-list.ts";
import { within } from "../../lib/config-error.ts";
import type { Stats } from "../../lib/stats.ts";
import { wrappedBool } from "../../lib/wrapped.ts";
import { throughStream, transformBody, watchBody } from "../body-transform.ts";
import { type Coding, compileDecompressor } from "./codings.ts";

export const decompressorFactory: HttpFilterFactory<Decompressor> = {
  name: "envoy.filters.http.decompressor",
  type: "envoy.extensions.filters.http.decompressor.v3.Decompressor",
  compile(config, env) {
    const coding = within("decompressor_library", () => compileDecompressor(config.decompressor_library));
    const stats = env.httpStats.scope(`decompressor.${coding.statPrefix}`);
    const { request_direction_config: request, response_direction_config: response } = config;
    const advertises = wrappedBool(request?.advertise_accept_encoding, true);
    const decodeRequest = compileDirection(request?.common_config, { coding, env, stats: stats.scope("request") });
    const decodeResponse = compileDirection(response?.common_config, { coding, env, stats: stats.scope("response") });
    return {
      async handle(exchange, next) {
        const { headers, body, upgrade } = exchange.request;
        if (body && upgrade === undefined) exchange.request.body = decodeRequest(headers, body);
        if (advertises) advertise(headers, coding.name);
        const answer = await next(exchange);
        if (answer.body && upgrade === undefined) answer.body = decodeResponse(answer.headers, answer.body);
        return answer;
      },
    };
  },
};

interface DirectionOptions {
  readonly coding: Coding;
  readonly env: HttpFilterEnv;
  readonly stats: Stats;
}

type DecodeBody = (headers: HeaderList, body: BodySource) => BodySource;

function compileDirection(wire: Decompressor_CommonDirectionConfig | undefined, options: DirectionOptions): DecodeBody {
  const { coding, env, stats } = options;
  const enabled: RuntimeFeatureFlag = wire?.enabled ?? {};
  const isOn = wrappedBool(enabled.default_value, true);
  const decoded = stats.counter("decompressed");
  const notDecoded = stats.counter("not_decompressed");
  const bytesIn = stats.counter("total_compressed_bytes");
  const bytesOut = stats.counter("total_uncompressed_bytes");
  return (headers, body) => {
    const [outer = "", ...inner] = (headers.joined("content-encoding") ?? "").split(",").map((name) => name.trim());
    const isForbidden = !wire?.ignore_no_transform_header && hasNoTransform(headers);
    if (isForbidden || outer.toLowerCase() !== coding.name || !env.runtime.flag(enabled.runtime_key ?? "", isOn)) {
      notDecoded.inc();
      return body;
    }
    decoded.inc();
    headers.remove("content-length");
    if (inner.length === 0) headers.remove("content-encoding");
    else headers.set("content-encoding", inner.join(","));
    const sizes = { in: 0, out: 0 };
    const counted = watchBody(body, {
      chunk({ length }) {
        sizes.in += length;
        bytesIn.inc(length);
      },
    });
    return reportSizes(throughStream(counted, coding.create()), {
      coding,
      sizes,
      count: (bytes) => bytesOut.inc(bytes),
    });
  };
}

interface Report {
  readonly coding: Coding;
  readonly sizes: { in: number; out: number };
  readonly count: (bytes: number) => void;
}

/** Says the sizes before and after in trailers, where the protocol has them. */
function reportSizes(body: BodySource, { coding, sizes, count }: Report): BodySource {
  const library = coding.statPrefix.replaceAll(".", "-");
  return transformBody(body, {
    chunk(bytes) {
      sizes.out += bytes.length;
      count(bytes.length);
      return bytes;
    },
    trailers(given) {
      const trailers = given ?? new HeaderList();
      trailers.set(`x-envoy-decompressor-${library}-compressed-bytes`, String(sizes.in));
      trailers.set(`x-envoy-decompressor-${library}-uncompressed-bytes`, String(sizes.out));
      return trailers;
    },
  });
}

function hasNoTransform(headers: HeaderList): boolean {
  return /(?:^|,)\s*no-transform\s*(?:,|$)/i.test(headers.joined("cache-control") ?? "");
}

function advertise(headers: HeaderList, name: string): void {
  const given = headers.joined("accept-encoding");
  headers.set("accept-encoding", given === undefined || given === "" ? name : `${given},${name}`);
}
