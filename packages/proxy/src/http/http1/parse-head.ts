/**
 * Reads the head of an HTTP/1 request. What Envoy refuses is refused with its status and details; what it is lenient about
 * (several hosts, folded lines, bare line feeds, more than one space) is refused as well, because another parser behind us
 * may read it differently.
 */
import type { LocalReply } from "../exchange.ts";
import { codecError, type Http1Options, malformed, tooManyHeaders } from "./options.ts";
import { isAuthority, parseTarget, type Target } from "./parse-target.ts";

export interface ParsedHead {
  readonly method: string;
  readonly minorVersion: 0 | 1;
  readonly target: Target;
  /** Name, value, name, value …, without Host and what belongs to the connection. */
  readonly raw: string[];
  /** Names as the client wrote them, by lower-case name; kept for "preserve" only. */
  readonly spelling: ReadonlyMap<string, string> | undefined;
  readonly contentLength: number | undefined;
  readonly isChunked: boolean;
  readonly wantsClose: boolean;
  readonly upgrade: string | undefined;
}

/** The methods that Envoy's parser knows; others are errors unless allow_custom_methods is on. */
const methods = new Set(
  (
    "ACL BIND CHECKOUT CONNECT COPY DELETE GET HEAD LINK LOCK MERGE MKACTIVITY MKCALENDAR MKCOL MOVE M-SEARCH NOTIFY " +
    "OPTIONS PATCH POST PROPFIND PROPPATCH PURGE PUT REBIND REPORT SEARCH SOURCE SUBSCRIBE TRACE UNBIND UNLINK UNLOCK " +
    "UNSUBSCRIBE"
  ).split(" "),
);
const customMethod = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}$/;
/** Control characters, with which CR and LF outside of line ends are found, too: lines are split at CRLF. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
const forbidden = /[\0-\x08\x0a-\x1f\x7f]/;

const invalidTransferEncoding: LocalReply = {
  status: 501,
  body: "Not Implemented",
  flags: ["DPE"],
  details: "http1.invalid_transfer_encoding",
};
const lowVersion: LocalReply = { status: 426, body: "Upgrade Required", flags: ["DPE"], details: "low_version" };
const missingHost: LocalReply = { status: 400, body: "", details: "missing_host_header" };

/** The names by which a client may not mark headers as the connection's own, as it would hide what others rely on. */
const unremovable = new Set(["host", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"]);
/** What Connection says other than names of headers; what TE may say is passed on by itself. */
const connectionWords = new Set(["close", "keep-alive", "upgrade", "te", ""]);
const maxConnectionTokens = 10;

/** The head in `text`, which ends with the line end of its last line (an empty line follows in the stream). */
export function parseHead(text: string, options: Http1Options): ParsedHead | LocalReply {
  const lineEnd = text.indexOf("\r\n");
  const line = text.slice(0, lineEnd);
  const first = line.indexOf(" ");
  const last = line.lastIndexOf(" ");
  if (first <= 0 || last === first || forbidden.test(line)) return codecError;
  const method = line.slice(0, first);
  const isKnown = options.allowsCustomMethods ? customMethod.test(method) : methods.has(method);
  if (!isKnown) return codecError;
  const version = line.slice(last + 1);
  if (version !== "HTTP/1.1" && version !== "HTTP/1.0") return refuseVersion(version);
  if (version === "HTTP/1.0" && !options.acceptsHttp10) return lowVersion;
  const target = parseTarget(method, line.slice(first + 1, last), options.allowsAbsoluteUrl);
  if (target === undefined) return malformed("http1.invalid_url");
  if (target === "codec-error") return codecError;
  const reader = new HeadReader(method, version === "HTTP/1.1" ? 1 : 0, options);
  return reader.readHeaders(text, lineEnd + 2) ?? reader.finish(target);
}

function refuseVersion(version: string): LocalReply {
  return /^HTTP\/[0-9]\.[0-9]$/.test(version) ? lowVersion : codecError;
}

/** Collects what the headers of one head say. */
class HeadReader {
  readonly #method: string;
  readonly #minorVersion: 0 | 1;
  readonly #options: Http1Options;
  readonly #raw: string[] = [];
  readonly #spelling: Map<string, string> | undefined;
  #host: string | undefined;
  #contentLength: number | undefined;
  #isChunked = false;
  #connection: string | undefined;
  #proxyConnection = "";
  #upgrade: string | undefined;

  constructor(method: string, minorVersion: 0 | 1, options: Http1Options) {
    this.#method = method;
    this.#minorVersion = minorVersion;
    this.#options = options;
    this.#spelling = options.keyFormat === "preserve" ? new Map() : undefined;
  }

  /** Reads the lines from `start` on. The reply for what is wrong with them. */
  readHeaders(text: string, start: number): LocalReply | undefined {
    const { names, maxHeaders } = this.#options;
    let count = 0;
    for (let from = start; from < text.length; ) {
      const end = text.indexOf("\r\n", from);
      const colon = text.indexOf(":", from);
      if (end < 0 || colon < 0 || colon >= end) return codecError;
      const rawName = text.slice(from, colon);
      const name = names.find(rawName);
      if (name === undefined) return codecError;
      const value = trim(text, colon + 1, end);
      if (forbidden.test(value)) return codecError;
      count += 1;
      if (count > maxHeaders) return tooManyHeaders;
      const problem = this.#take(name, value);
      if (problem !== undefined) return problem;
      this.#spelling?.set(name, rawName);
      from = end + 2;
    }
    return undefined;
  }

  /** What one header means for the message itself; others are kept. */
  #take(name: string, value: string): LocalReply | undefined {
    switch (name) {
      case "host":
        if (this.#host !== undefined) return malformed("http1.codec_error");
        this.#host = value;
        return isAuthority(value) ? undefined : malformed("http.invalid_authority");
      case "connection":
        this.#connection = this.#connection === undefined ? value : `${this.#connection},${value}`;
        return undefined;
      case "content-length":
        return this.#takeContentLength(value);
      case "transfer-encoding":
        return this.#takeTransferEncoding(value);
      case "upgrade":
        this.#upgrade = this.#upgrade === undefined ? value : `${this.#upgrade},${value}`;
        return undefined;
      case "keep-alive":
        return undefined;
      case "proxy-connection":
        this.#proxyConnection = value;
        return undefined;
      case "te":
        if (hasToken(value, "trailers")) this.#raw.push(name, "trailers");
        return undefined;
      default:
        return this.#takeOther(name, value);
    }
  }

  #takeContentLength(value: string): LocalReply | undefined {
    // A second one is refused even where it says the same, as Envoy does.
    if (this.#contentLength !== undefined || !/^[0-9]{1,15}$/.test(value)) return codecError;
    this.#contentLength = Number(value);
    this.#raw.push("content-length", value);
    return undefined;
  }

  #takeTransferEncoding(value: string): LocalReply | undefined {
    if (this.#minorVersion === 0) return codecError;
    if (this.#isChunked || value.toLowerCase() !== "chunked" || this.#method === "CONNECT") {
      return invalidTransferEncoding;
    }
    this.#isChunked = true;
    return undefined;
  }

  #takeOther(name: string, value: string): LocalReply | undefined {
    if (this.#options.underscores !== "ALLOW" && name.includes("_")) {
      return this.#options.underscores === "DROP_HEADER" ? undefined : malformed("http1.unexpected_underscore");
    }
    this.#raw.push(name, value);
    return undefined;
  }

  finish(target: Target): ParsedHead | LocalReply {
    const host = target.authority ?? this.#host;
    if (this.#host === undefined && this.#minorVersion === 1) return missingHost;
    if (this.#isChunked && this.#contentLength !== undefined) {
      if (!this.#options.allowsChunkedLength) return malformed("http1.content_length_and_chunked_not_allowed");
      this.#drop("content-length");
      this.#contentLength = undefined;
    }
    const connection = this.#readConnection();
    if (connection === undefined) return malformed("http1.connection_header_rejected");
    const upgrade = this.#findUpgrade(connection.isUpgrade);
    if (upgrade !== undefined && (this.#isChunked || (this.#contentLength ?? 0) > 0)) {
      return malformed("http1.content_length_not_allowed");
    }
    return {
      method: this.#method,
      minorVersion: this.#minorVersion,
      target: { ...target, authority: host ?? this.#options.defaultHost },
      raw: this.#raw,
      spelling: this.#spelling,
      contentLength: this.#contentLength,
      isChunked: this.#isChunked,
      // No header of any standard, but Envoy heeds it.
      wantsClose: connection.isClose || (this.#proxyConnection !== "" && hasToken(this.#proxyConnection, "close")),
      upgrade,
    };
  }

  /** Takes out the headers that Connection names. Undefined where it names what must not be hidden. */
  #readConnection(): { readonly isClose: boolean; readonly isUpgrade: boolean } | undefined {
    const value = this.#connection;
    const isOld = this.#minorVersion === 0;
    if (value === undefined) return isOld ? closes : keeps;
    const text = value.toLowerCase();
    if (text === "keep-alive") return keeps;
    if (text === "close") return closes;
    const names = text.split(",").map((part) => part.trim());
    if (names.length > maxConnectionTokens) return undefined;
    if (names.some((name) => unremovable.has(name) || name.startsWith(":"))) return undefined;
    for (const name of names) if (!connectionWords.has(name)) this.#drop(name);
    const isClose = names.includes("close") || (isOld && !names.includes("keep-alive"));
    return { isClose, isUpgrade: names.includes("upgrade") };
  }

  #drop(name: string): void {
    const raw = this.#raw;
    for (let index = raw.length - 2; index >= 0; index -= 2) if (raw[index] === name) raw.splice(index, 2);
  }

  #findUpgrade(isNamed: boolean): string | undefined {
    if (this.#method === "CONNECT") return "connect";
    if (!isNamed || this.#upgrade === undefined) return undefined;
    const upgrade = this.#upgrade.toLowerCase();
    if (upgrade !== "h2c") return upgrade;
    // As in Envoy: HTTP/2 over cleartext is spoken with prior knowledge only, and the wish for it is no error.
    this.#drop("http2-settings");
    return undefined;
  }
}

const keeps = { isClose: false, isUpgrade: false };
const closes = { isClose: true, isUpgrade: false };

/** The value between two places, without the white space around it. */
function trim(text: string, from: number, to: number): string {
  let start = from;
  let end = to;
  while (start < end && isBlank(text.charCodeAt(start))) start += 1;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end -= 1;
  return text.slice(start, end);
}

function isBlank(code: number): boolean {
  return code === 32 || code === 9;
}

function hasToken(value: string, token: string): boolean {
  return value.split(",").some((part) => (part.split(";", 1)[0] ?? "").trim().toLowerCase() === token);
}
