/**
 * Who the client is: the peer of the connection, or what trusted proxies before us say in headers. From that follows
 * whether a request is internal, and which headers it may bring along.
 */
import { isIPv4, isIPv6, SocketAddress } from "node:net";
import { unpackAny } from "@meltemi/protos";
import type { TypedExtensionConfig } from "@meltemi/protos/envoy/config/core/v3";
import type { CustomHeaderConfig } from "@meltemi/protos/envoy/extensions/http/original_ip_detection/custom_header/v3";
import type { XffConfig } from "@meltemi/protos/envoy/extensions/http/original_ip_detection/xff/v3";
import { ConfigError, need } from "../lib/config-error.ts";
import type { Address } from "../listeners/connection.ts";
import type { LocalReply } from "./exchange.ts";
import type { HttpRequest } from "./message.ts";

/** What headers tell of the client. */
export interface Detected {
  readonly address: Address | undefined;
  /** True where the address may make a request an internal one: no other proxy is named. */
  readonly isSole: boolean;
  readonly reply?: LocalReply;
}

/** The details of an answer to a request that must name its client and does not. */
export const detectionFailed = "rejecting_because_detection_failed";

export type DetectClient = (request: HttpRequest) => Detected;

const nothing: Detected = { address: undefined, isSole: false };

/** The address `hops` before the last in x-forwarded-for, as Envoy's xff_num_trusted_hops counts. */
export function findForwardedFor(value: string | undefined, hops: number): Detected {
  if (value === undefined) return nothing;
  const parts = value.split(",");
  const text = parts[parts.length - 1 - hops]?.trim();
  const address = text === undefined ? undefined : parseAddress(text);
  return { address, isSole: parts.length === 1 };
}

/** The first of several ways that finds an address; undefined where none is configured. */
export function compileDetection(extensions: readonly TypedExtensionConfig[]): DetectClient {
  const ways = extensions.map(compileWay);
  return (request) => {
    for (const way of ways) {
      const found = way(request);
      if (found.address !== undefined || found.reply !== undefined) return found;
    }
    return nothing;
  };
}

function compileWay({ typed_config: any }: TypedExtensionConfig, index: number): DetectClient {
  const path = `original_ip_detection_extensions[${index}]`;
  const { typeName, message } = unpackAny(need(`${path}.typed_config`, any));
  if (typeName === "envoy.extensions.http.original_ip_detection.xff.v3.XffConfig") {
    const { xff_num_trusted_hops: hops = 0, ...others }: XffConfig & Record<string, unknown> = message;
    refuseOthers(path, others, ["skip_xff_append"]);
    return (request) => findForwardedFor(request.headers.joined("x-forwarded-for"), hops);
  }
  if (typeName === "envoy.extensions.http.original_ip_detection.custom_header.v3.CustomHeaderConfig") {
    return compileCustomHeader(path, message);
  }
  throw new ConfigError(path, `${typeName} is not implemented`);
}

function refuseOthers(path: string, others: Readonly<Record<string, unknown>>, tolerated: readonly string[]): void {
  for (const [name, value] of Object.entries(others)) {
    if (value !== undefined && !tolerated.includes(name))
      throw new ConfigError(`${path}.${name}`, "is not implemented");
  }
}

function compileCustomHeader(path: string, config: CustomHeaderConfig): DetectClient {
  const name = need(`${path}.header_name`, config.header_name).toLowerCase();
  const isSole = config.allow_extension_to_set_address_as_trusted === true;
  const status = statusNumber(config.reject_with_status?.code);
  const refusal: Detected =
    config.reject_with_status === undefined
      ? nothing
      : { ...nothing, reply: { status, body: "", details: detectionFailed } };
  return (request) => {
    const address = parseAddress(request.headers.get(name)?.trim() ?? "");
    return address === undefined ? refusal : { address, isSole };
  };
}

/** Statuses are enum names on the wire; those below 400 are not taken for a refusal, as in Envoy: 403. */
function statusNumber(code: string | number | undefined): number {
  const status = statusCodes[String(code)] ?? 403;
  return status >= 400 ? status : 403;
}

const statusCodes: Readonly<Record<string, number>> = {
  BadRequest: 400,
  Unauthorized: 401,
  PaymentRequired: 402,
  Forbidden: 403,
  NotFound: 404,
  MethodNotAllowed: 405,
  NotAcceptable: 406,
  Conflict: 409,
  Gone: 410,
  PreconditionFailed: 412,
  ImATeapot: 418,
  MisdirectedRequest: 421,
  UnprocessableEntity: 422,
  TooManyRequests: 429,
  InternalServerError: 500,
  NotImplemented: 501,
  BadGateway: 502,
  ServiceUnavailable: 503,
};

/**
 * An address alone, in its canonical form. One with a port or in brackets is none to Envoy: who took it for one would let a
 * client choose its own address where the proxy before writes ports.
 */
function parseAddress(text: string): Address | undefined {
  if (isIPv4(text)) return { ip: text, port: 0 };
  if (!isIPv6(text)) return undefined;
  // The platform's parser drops the zone of an address.
  const ip = text.includes("%") ? text : new SocketAddress({ address: text, family: "ipv6" }).address;
  return { ip, port: 0 };
}
