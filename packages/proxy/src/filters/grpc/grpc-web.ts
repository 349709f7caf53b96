/** gRPC for browsers: trailers become the last frame of the body, which may be in base 64 altogether. */
import type { GrpcWeb } from "@meltemi/protos/envoy/extensions/filters/http/grpc_web/v3";
import { type BodySource, collect } from "../../http/body.ts";
import type { Exchange, HttpFilterFactory, HttpHandler } from "../../http/exchange.ts";
import type { HeaderList } from "../../http/header-list.ts";
import type { HttpResponse } from "../../http/message.ts";
import { isGrpcType } from "../../http/rescue.ts";
import type { Stats } from "../../lib/stats.ts";
import { pathOnly } from "../../matchers/path-matcher.ts";
import { withAnswer } from "../answer.ts";
import { transformBody } from "../body-transform.ts";

const binaryTypes = new Set(["application/grpc-web", "application/grpc-web+proto"]);
const textTypes = new Set(["application/grpc-web-text", "application/grpc-web-text+proto"]);

export const grpcWebFactory: HttpFilterFactory<GrpcWeb> = {
  name: "envoy.filters.http.grpc_web",
  type: "envoy.extensions.filters.http.grpc_web.v3.GrpcWeb",
  compile: (_config, { clusters }) => ({
    handle(exchange, next) {
      const type = exchange.request.headers.get("content-type") ?? "";
      const isText = textTypes.has(type);
      if (!isText && !binaryTypes.has(type)) return next(exchange);
      const { action } = exchange.route ?? {};
      const stats = action?.kind === "forward" ? clusters.find(action.cluster)?.stats : undefined;
      return translate(exchange, next, { isText, count: createCounting(stats, exchange.request.path) });
    },
  }),
};

type CountStatus = (status: string | undefined) => void;

/** For the method and cluster of a call. */
function createCounting(stats: Stats | undefined, path: string): CountStatus {
  const [, service = "", method = ""] = /^\/([^/]+)\/([^/]+)$/.exec(pathOnly(path)) ?? [];
  if (!stats || method === "") return () => undefined;
  const scope = stats.scope(`grpc-web.${service}.${method}`);
  return (status) => {
    if (status === undefined) return;
    scope.counter(status).inc();
    scope.counter(status === "0" ? "success" : "failure").inc();
    scope.counter("total").inc();
  };
}

interface Translation {
  readonly isText: boolean;
  readonly count: CountStatus;
}

async function translate(exchange: Exchange, next: HttpHandler, { isText, count }: Translation): Promise<HttpResponse> {
  const { request } = exchange;
  const { headers } = request;
  const wantsText = textTypes.has(headers.get("accept") ?? "");
  headers.remove("content-length");
  headers.set("content-type", "application/grpc");
  headers.set("te", "trailers");
  headers.set("grpc-accept-encoding", "identity");
  if (isText && request.body) request.body = decodeText(request.body);
  let answerType: string | undefined;
  const response = await withAnswer(exchange, next, (head) => {
    answerType = head.headers.get("content-type");
    head.headers.set("content-type", `application/grpc-web${wantsText ? "-text" : ""}+proto`);
  });
  count(response.headers.get("grpc-status"));
  if (!response.body) return response;
  if (!isGrpcType(answerType)) return await explain(response);
  response.headers.remove("content-length");
  const framed = frameTrailers(response.body, count);
  response.body = wantsText ? encodeText(framed) : framed;
  return response;
}

/** Longest text of another protocol that a client is told. */
const messageLimit = 1024 * 1024;
/** Statuses of HTTP as gRPC has them; any other is 2, unknown. */
const grpcStatuses: ReadonlyMap<number, number> = new Map([
  [400, 13],
  [401, 16],
  [403, 7],
  [404, 12],
  [429, 14],
  [502, 14],
  [503, 14],
  [504, 14],
]);

/** What is no gRPC becomes the message of a call that failed. */
async function explain(response: HttpResponse): Promise<HttpResponse> {
  const { headers, body, status } = response;
  const { bytes } = body ? await collect(body, messageLimit) : { bytes: new Uint8Array() };
  const text = Buffer.from(bytes).toString("latin1");
  const message = text.replaceAll(
    /[^ -$&-~]/g,
    (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`,
  );
  if (message !== "") headers.set("grpc-message", message);
  headers.set("grpc-status", String(grpcStatuses.get(status) ?? 2));
  headers.set("content-length", "0");
  return { status: 200, headers, body: undefined };
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

function frameTrailers(body: BodySource, count: CountStatus): BodySource {
  return transformBody(body, {
    chunk: (bytes) => bytes,
    last(trailers) {
      count(trailers?.get("grpc-status"));
      return trailers && buildTrailerFrame(trailers);
    },
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
