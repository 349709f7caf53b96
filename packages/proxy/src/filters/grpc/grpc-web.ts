/** gRPC for browsers: trailers become the last frame of the body, which may be in base 64 altogether. */
import type { GrpcWeb } from "@meltemi/protos/envoy/extensions/filters/http/grpc_web/v3";
import type { BodySource } from "../../http/body.ts";
import type { Exchange, HttpFilterFactory, HttpHandler } from "../../http/exchange.ts";
import type { HeaderList } from "../../http/header-list.ts";
import type { HttpResponse } from "../../http/message.ts";
import { withAnswer } from "../answer.ts";
import { transformBody } from "../body-transform.ts";

const binaryTypes = new Set(["application/grpc-web", "application/grpc-web+proto"]);
const textTypes = new Set(["application/grpc-web-text", "application/grpc-web-text+proto"]);

export const grpcWebFactory: HttpFilterFactory<GrpcWeb> = {
  name: "envoy.filters.http.grpc_web",
  type: "envoy.extensions.filters.http.grpc_web.v3.GrpcWeb",
  compile: () => ({
    handle(exchange, next) {
      const type = exchange.request.headers.get("content-type") ?? "";
      const isText = textTypes.has(type);
      return isText || binaryTypes.has(type) ? translate(exchange, next, isText) : next(exchange);
    },
  }),
};

async function translate(exchange: Exchange, next: HttpHandler, isText: boolean): Promise<HttpResponse> {
  const { request } = exchange;
  const { headers } = request;
  const wantsText = textTypes.has(headers.get("accept") ?? "");
  headers.remove("content-length");
  headers.set("content-type", "application/grpc");
  headers.set("te", "trailers");
  headers.set("grpc-accept-encoding", "identity,deflate,gzip");
  if (isText && request.body) request.body = decodeText(request.body);
  const response = await withAnswer(exchange, next, (head) => {
    head.headers.set("content-type", `application/grpc-web${wantsText ? "-text" : ""}+proto`);
  });
  if (!response.body) return response;
  response.headers.remove("content-length");
  const framed = frameTrailers(response.body);
  response.body = wantsText ? encodeText(framed) : framed;
  return response;
}

/** Base 64 that may be cut anywhere, and may be padded after each piece of it. */
function decodeText(body: BodySource): BodySource {
  let rest = "";
  return transformBody(body, {
    chunk(bytes) {
      const text = rest + Buffer.from(bytes).toString("latin1").replaceAll(/\s/g, "");
      const whole = text.length - (text.length % 4);
      rest = text.slice(whole);
      const groups = text.slice(0, whole).match(/[^=]+={0,2}/g) ?? [];
      return Buffer.concat(groups.map((group) => Buffer.from(group, "base64")));
    },
    last: () => (rest === "" ? undefined : Buffer.from(rest, "base64")),
  });
}

function encodeText(body: BodySource): BodySource {
  let rest: Buffer = Buffer.alloc(0);
  return transformBody(body, {
    chunk(bytes) {
      const all = Buffer.concat([rest, bytes]);
      const whole = all.length - (all.length % 3);
      rest = all.subarray(whole);
      return Buffer.from(all.subarray(0, whole).toString("base64"));
    },
    last: () => (rest.length === 0 ? undefined : Buffer.from(rest.toString("base64"))),
  });
}

const trailerFlag = 0x80;

function frameTrailers(body: BodySource): BodySource {
  return transformBody(body, {
    chunk: (bytes) => bytes,
    last: (trailers) => trailers && buildTrailerFrame(trailers),
    trailers: () => undefined,
  });
}

function buildTrailerFrame(trailers: HeaderList): Uint8Array {
  const text = Buffer.from([...trailers].map(([name, value]) => `${name}:${value}\r\n`).join(""));
  const head = Buffer.alloc(5);
  head.writeUInt8(trailerFlag, 0);
  head.writeUInt32BE(text.length, 1);
  return Buffer.concat([head, text]);
}
