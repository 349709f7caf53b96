/** Compresses answers for clients that take it, and requests where it is asked for. */

import type {
  Compressor,
  Compressor_CommonDirectionConfig,
  CompressorPerRoute,
} from "@meltemi/protos/envoy/extensions/filters/http/compressor/v3";
import type { HttpFilterEnv } from "../../config/env.ts";
import type { BodySource } from "../../http/body.ts";
import { type Exchange, type HttpFilterFactory, type HttpHandler, LocalReplyError } from "../../http/exchange.ts";
import type { HeaderList } from "../../http/header-list.ts";
import type { HttpResponse } from "../../http/message.ts";
import { within } from "../../lib/config-error.ts";
import type { Counter, Stats } from "../../lib/stats.ts";
import { wrappedBool, wrappedNumber } from "../../lib/wrapped.ts";
import { throughStream, watchBody } from "../body-transform.ts";
import { chooseCoding, type Offer } from "./choose-coding.ts";
import { type Coding, compileCompressor } from "./codings.ts";

interface RouteChoice {
  readonly isDisabled: boolean;
  readonly removesAcceptEncoding: boolean | undefined;
}

const defaultTypes = [
  ...["application/javascript", "application/json", "application/xhtml+xml", "image/svg+xml"],
  ...["text/css", "text/html", "text/plain", "text/xml"],
];
const defaultMinLength = 30;

interface Direction {
  readonly isEnabled: () => boolean;
  /** False where the body is known to be too short. */
  readonly isLongEnough: (headers: HeaderList) => boolean;
  readonly allowsType: (contentType: string | undefined) => boolean;
  readonly compressed: Counter;
  readonly notCompressed: Counter;
  readonly bytesIn: Counter;
  readonly bytesOut: Counter;
}

interface Settings {
  readonly coding: Coding;
  readonly offer: Offer;
  readonly request: Direction | undefined;
  readonly requestNotCompressed: Counter;
  readonly response: Direction;
  readonly keepsEtags: boolean;
  readonly removesAcceptEncoding: boolean;
  readonly counters: Readonly<Record<HeaderStat, Counter>>;
}

const headerStats = [
  "header_compressor_used",
  "header_compressor_overshadowed",
  "header_identity",
  "header_wildcard",
  "header_not_valid",
  "no_accept_header",
  "not_compressed_etag",
] as const;
type HeaderStat = (typeof headerStats)[number];

export const compressorFactory: HttpFilterFactory<Compressor, RouteChoice> = {
  name: "envoy.filters.http.compressor",
  type: "envoy.extensions.filters.http.compressor.v3.Compressor",
  routeTypes: ["envoy.extensions.filters.http.compressor.v3.CompressorPerRoute"],
  compileRoute(config) {
    const { disabled = false, overrides } = config as CompressorPerRoute;
    const removes = overrides?.response_direction_config?.remove_accept_encoding_header;
    return { isDisabled: disabled, removesAcceptEncoding: removes && (removes.value ?? false) };
  },
  compile(config, env) {
    const settings = compileSettings(config, env);
    return { handle: (exchange, next) => compress(settings, exchange, next) };
  },
};

function compileSettings(wire: Compressor, env: HttpFilterEnv): Settings {
  const coding = within("compressor_library", () => compileCompressor(wire.compressor_library));
  const stats = env.httpStats.scope(`compressor.${coding.statPrefix}`);
  const { response_direction_config: response, request_direction_config: request } = wire;
  const older: Compressor_CommonDirectionConfig = {
    enabled: wire.runtime_enabled,
    content_type: wire.content_type,
    min_content_length: wire.content_length,
  };
  const toClients = compileDirection(
    response ? response.common_config : older,
    env,
    response ? stats.scope("response") : stats,
  );
  const requestStats = stats.scope("request");
  return {
    coding,
    offer: { name: coding.name, allowsType: toClients.allowsType, isFirst: wire.choose_first === true },
    request: request && compileDirection(request.common_config, env, requestStats),
    requestNotCompressed: requestStats.counter("not_compressed"),
    response: toClients,
    keepsEtags: (response ? response.disable_on_etag_header : wire.disable_on_etag_header) === true,
    removesAcceptEncoding:
      (response ? response.remove_accept_encoding_header : wire.remove_accept_encoding_header) === true,
    counters: Object.fromEntries(headerStats.map((name) => [name, stats.counter(name)])) as Settings["counters"],
  };
}

function compileDirection(
  wire: Compressor_CommonDirectionConfig | undefined,
  { runtime }: HttpFilterEnv,
  stats: Stats,
): Direction {
  const types = new Set(
    wire?.content_type?.length ? wire.content_type.map((type) => type.toLowerCase()) : defaultTypes,
  );
  const minLength = wrappedNumber(wire?.min_content_length, defaultMinLength);
  const { enabled } = wire ?? {};
  const isOn = wrappedBool(enabled?.default_value, true);
  const tooSmall = stats.counter("content_length_too_small");
  return {
    isEnabled: () => runtime.flag(enabled?.runtime_key ?? "", isOn),
    isLongEnough(headers) {
      const length = headers.get("content-length");
      const isEnough = length === undefined || Number(length) >= minLength;
      if (!isEnough) tooSmall.inc();
      return isEnough;
    },
    allowsType: (type) => type === undefined || types.has((type.split(";", 1)[0] ?? "").trim().toLowerCase()),
    compressed: stats.counter("compressed"),
    notCompressed: stats.counter("not_compressed"),
    bytesIn: stats.counter("total_uncompressed_bytes"),
    bytesOut: stats.counter("total_compressed_bytes"),
  };
}

const offersKey = "envoy.filters.http.compressor.offers";

/** The offers of all compressors that a request has passed: each has to know whether another is liked better. */
function addOffer({ info }: Exchange, offer: Offer): Offer[] {
  const known = info.filterState.get(offersKey)?.value;
  if (Array.isArray(known)) {
    known.push(offer);
    return known;
  }
  const offers = [offer];
  info.filterState.set(offersKey, { text: "", value: offers });
  return offers;
}

async function compress(settings: Settings, exchange: Exchange, next: HttpHandler): Promise<HttpResponse> {
  const { request } = exchange;
  const route = exchange.perRoute(compressorFactory);
  if (route?.isDisabled) return next(exchange);
  compressRequest(settings, exchange);
  const accepted = request.headers.joined("accept-encoding");
  const isOn = settings.response.isEnabled();
  const offers = isOn ? addOffer(exchange, settings.offer) : [];
  if (isOn && (route?.removesAcceptEncoding ?? settings.removesAcceptEncoding))
    request.headers.remove("accept-encoding");
  const response = await (isOn ? answerAll(exchange, next) : next(exchange));
  if (isOn && request.upgrade === undefined) compressResponse(settings, response, { accepted, offers });
  return response;
}

/** What the proxy answers itself further down is compressed like what comes from upstreams. */
async function answerAll(exchange: Exchange, next: HttpHandler): Promise<HttpResponse> {
  try {
    return await next(exchange);
  } catch (cause: unknown) {
    if (cause instanceof LocalReplyError) return exchange.renderReply(cause.reply);
    throw cause;
  }
}

function compressRequest({ request: direction, coding, requestNotCompressed }: Settings, { request }: Exchange): void {
  const { headers, body } = request;
  const isWanted =
    direction?.isEnabled() &&
    body &&
    request.upgrade === undefined &&
    direction.isLongEnough(headers) &&
    direction.allowsType(headers.get("content-type")) &&
    !headers.has("content-encoding");
  if (!direction || !body || !isWanted) {
    requestNotCompressed.inc();
    return;
  }
  headers.remove("content-length");
  headers.set("content-encoding", coding.name);
  request.body = encode(body, coding, direction);
}

interface Wishes {
  readonly accepted: string | undefined;
  readonly offers: readonly Offer[];
}

function compressResponse(settings: Settings, response: HttpResponse, wishes: Wishes): void {
  const { response: direction, coding } = settings;
  const { headers, body } = response;
  const isLongEnough = direction.isLongEnough(headers);
  const isChosen = body !== undefined && isLongEnough && chooses(settings, headers.get("content-type"), wishes);
  const isCompressible = isLongEnough && canCompress(settings, headers);
  if (!body || !isChosen || !isCompressible) {
    // Other clients would get something else.
    if (isCompressible) addVary(headers);
    direction.notCompressed.inc();
    return;
  }
  headers.remove("content-length");
  headers.set("content-encoding", coding.name);
  addVary(headers);
  // A strong tag names these very bytes.
  if (headers.get("etag")?.startsWith("W/") === false) headers.remove("etag");
  response.body = encode(body, coding, direction);
}

function canCompress({ response, keepsEtags, counters }: Settings, headers: HeaderList): boolean {
  if (!response.allowsType(headers.get("content-type"))) return false;
  if (/(?:^|,)\s*no-transform\s*(?:,|$)/i.test(headers.joined("cache-control") ?? "")) return false;
  if (headers.has("content-encoding")) return false;
  if (!keepsEtags || !headers.has("etag")) return true;
  counters.not_compressed_etag.inc();
  return false;
}

function chooses({ counters, offer }: Settings, type: string | undefined, { accepted, offers }: Wishes): boolean {
  if (accepted === undefined) {
    counters.no_accept_header.inc();
    return false;
  }
  const choice = chooseCoding(
    accepted,
    offers.filter((one) => one.allowsType(type)),
  );
  if (choice.kind !== "coding") {
    counters[choice.kind === "identity" ? "header_identity" : "header_not_valid"].inc();
    return false;
  }
  const isOwn = choice.offer === offer;
  if (choice.isWildcard) counters.header_wildcard.inc();
  else counters[isOwn ? "header_compressor_used" : "header_compressor_overshadowed"].inc();
  return isOwn;
}

function addVary(headers: HeaderList): void {
  const vary = headers.joined("vary");
  if (vary === undefined) headers.set("vary", "Accept-Encoding");
  else if (vary !== "*" && !/(?:^|,)\s*accept-encoding\s*(?:,|$)/i.test(vary))
    headers.set("vary", `${vary}, Accept-Encoding`);
}

function encode(body: BodySource, coding: Coding, { compressed, bytesIn, bytesOut }: Direction): BodySource {
  compressed.inc();
  const counted = watchBody(body, { chunk: ({ length }) => bytesIn.inc(length) });
  return watchBody(throughStream(counted, coding.create()), { chunk: ({ length }) => bytesOut.inc(length) });
}
