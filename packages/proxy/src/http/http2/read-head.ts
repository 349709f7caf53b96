/**
 * The head of an HTTP/2 request as filters see it. What is malformed by RFC 9113, section 8, is refused with Envoy's verdict;
 * the details are those that Envoy logs.
 */
import { isConnectionHeader, isFieldName, isFieldValue } from "@meltemi/http2/field-rules";
import { HeaderList } from "../header-list.ts";
import { isAuthority } from "../http1/parse-target.ts";
import type { Http2HeadLimits } from "./options.ts";

export interface Http2Head {
  readonly method: string;
  readonly scheme: "http" | "https";
  readonly authority: string;
  readonly path: string;
  readonly headers: HeaderList;
  readonly upgrade: string | undefined;
  readonly contentLength: number | undefined;
  /** Headers that were left out for an underscore in their names. */
  readonly droppedHeaders: number;
}

export type ReadHead =
  | { readonly kind: "head"; readonly head: Http2Head }
  /** No request of HTTP/2: costs the connection, or the stream where it is configured so. */
  | { readonly kind: "malformed"; readonly details: string }
  /** More than the limits let pass, or headers_with_underscores_action: costs the stream. */
  | { readonly kind: "refused"; readonly details: string };

const invalidField = "http2.invalid.header.field";
/** Details of a message whose parts, each right by itself, do not make one. */
export const brokenRule = "http2.violation.of.messaging.rule";
const malformedField: ReadHead = { kind: "malformed", details: invalidField };
const malformedMessage: ReadHead = { kind: "malformed", details: brokenRule };
export const tooMany = { kind: "refused", details: "http2.too_many_headers" } as const;
export const tooLarge = { kind: "refused", details: "http2.header_list_size_too_large" } as const;
const underscore: ReadHead = { kind: "refused", details: "http2.unexpected_underscore" };

const methodText = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const schemeText = /^[A-Za-z][A-Za-z0-9+\-.]*$/;
const visible = /^[!-~]+$/;
const digits = /^[0-9]{1,15}$/;

/** `raw` is name, value, name, value …, as HPACK gives it; `isEnd` where no content follows. */
export function readHead(raw: readonly string[], limits: Http2HeadLimits, isEnd: boolean): ReadHead {
  const reader = new HeadReader(limits);
  if (raw.length / 2 > limits.maxHeaders) return tooMany;
  let bytes = 0;
  for (let index = 0; index < raw.length; index += 2) {
    const name = raw[index] ?? "";
    const value = raw[index + 1] ?? "";
    bytes += name.length + value.length;
    const problem = reader.take(name, value);
    if (problem !== undefined) return problem;
  }
  if (bytes > limits.maxHeadBytes) return tooLarge;
  const read = reader.finish();
  // What has no content is no shorter than it says, but for CONNECT, where a length means nothing.
  const isShort = isEnd && read.kind === "head" && (read.head.contentLength ?? 0) > 0;
  return isShort && read.head.upgrade !== "connect" ? malformedMessage : read;
}

class HeadReader {
  readonly #limits: Http2HeadLimits;
  readonly #list: string[] = [];
  #method: string | undefined;
  #scheme: string | undefined;
  #authority: string | undefined;
  #path: string | undefined;
  #protocol: string | undefined;
  #host: string | undefined;
  #cookie: string | undefined;
  #contentLength: number | undefined;
  #hasHeaders = false;
  #dropped = 0;

  constructor(limits: Http2HeadLimits) {
    this.#limits = limits;
  }

  /** What is wrong with a header; undefined where nothing is. */
  take(name: string, value: string): ReadHead | undefined {
    if (!isFieldValue(value)) return malformedField;
    if (name.charCodeAt(0) === 0x3a) return this.#hasHeaders ? malformedField : this.#takePseudo(name, value);
    this.#hasHeaders = true;
    switch (name) {
      // Clients may send crumbs (RFC 9113, section 8.2.3); those behind us see one cookie.
      case "cookie":
        this.#cookie = this.#cookie === undefined ? value : `${this.#cookie}; ${value}`;
        return undefined;
      case "host":
        if (this.#host !== undefined || !isHost(value)) return malformedField;
        this.#host = value;
        return undefined;
      case "content-length":
        if (this.#contentLength !== undefined || !isContentLength(value)) return malformedField;
        this.#contentLength = Number(value);
        this.#list.push(name, value);
        return undefined;
      case "te":
        return this.#takeTe(value);
      default:
        return this.#takeOther(name, value);
    }
  }

  /** Each once, none that nobody knows, and before all others (RFC 9113, section 8.3). */
  #takePseudo(name: string, value: string): ReadHead | undefined {
    switch (name) {
      case ":method":
        if (this.#method !== undefined || !methodText.test(value)) return malformedField;
        this.#method = value;
        return undefined;
      case ":scheme":
        if (this.#scheme !== undefined || !schemeText.test(value)) return malformedField;
        this.#scheme = value;
        return undefined;
      case ":authority":
        if (this.#authority !== undefined || !isHost(value)) return malformedField;
        this.#authority = value;
        return undefined;
      case ":path":
        if (this.#path !== undefined || !visible.test(value)) return malformedField;
        this.#path = value;
        return undefined;
      case ":protocol":
        if (this.#protocol !== undefined || !methodText.test(value)) return malformedField;
        this.#protocol = value;
        return undefined;
      default:
        return malformedField;
    }
  }

  #takeTe(value: string): ReadHead | undefined {
    if (value.toLowerCase() !== "trailers") return malformedField;
    if (value === "trailers") this.#list.push("te", value);
    return undefined;
  }

  #takeOther(name: string, value: string): ReadHead | undefined {
    // RFC 9113, section 8.2.2.
    if (!isFieldName(name) || isConnectionHeader(name)) return malformedField;
    const { underscores } = this.#limits;
    if (underscores === "ALLOW" || !name.includes("_")) this.#list.push(name, value);
    else if (underscores === "REJECT_REQUEST") return underscore;
    else this.#dropped += 1;
    return undefined;
  }

  finish(): ReadHead {
    if (this.#cookie !== undefined) this.#list.push("cookie", this.#cookie);
    const method = this.#method;
    const authority = this.#authority ?? this.#host;
    if (method === undefined || authority === undefined) return malformedMessage;
    const head = {
      authority,
      headers: new HeaderList(this.#list),
      scheme: this.#scheme === "https" ? "https" : "http",
      contentLength: this.#contentLength,
      droppedHeaders: this.#dropped,
    } as const;
    const path = this.#path;
    if (method === "CONNECT" && this.#protocol === undefined) {
      // RFC 9113, section 8.5.
      if (path !== undefined || this.#scheme !== undefined) return malformedMessage;
      return { kind: "head", head: { ...head, method, path: "", upgrade: "connect" } };
    }
    if (path === undefined || this.#scheme === undefined) return malformedMessage;
    if (this.#protocol !== undefined) return this.#finishExtended(path, head);
    if (!path.startsWith("/") && !(path === "*" && method === "OPTIONS")) return malformedField;
    return { kind: "head", head: { ...head, method, path, upgrade: undefined } };
  }

  /** Extended CONNECT (RFC 8441) is the upgrade of HTTP/1 in HTTP/2: filters see it as such. */
  #finishExtended(path: string, head: Omit<Http2Head, "method" | "path" | "upgrade">): ReadHead {
    const isAllowed = this.#method === "CONNECT" && this.#limits.allowsConnect && this.#authority !== undefined;
    if (!isAllowed || !path.startsWith("/")) return malformedMessage;
    const upgrade = (this.#protocol ?? "").toLowerCase();
    return { kind: "head", head: { ...head, method: "GET", path, upgrade } };
  }
}

/** The value of "content-length"; numbers beyond what can be counted exactly are none. */
export function isContentLength(text: string): boolean {
  return digits.test(text);
}

/** Without the user of RFC 3986 (RFC 9113, section 8.3.1). */
function isHost(text: string): boolean {
  return text !== "" && isAuthority(text) && !text.includes("@");
}

/** The details of what is wrong with trailers; undefined where nothing is. */
export function checkTrailers(raw: readonly string[]): string | undefined {
  for (let index = 0; index < raw.length; index += 2) {
    const name = raw[index] ?? "";
    if (!isFieldName(name) || !isFieldValue(raw[index + 1] ?? "") || isConnectionHeader(name)) return invalidField;
  }
  return undefined;
}
