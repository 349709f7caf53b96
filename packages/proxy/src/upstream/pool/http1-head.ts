/** The head of an HTTP/1.1 answer: text in, status and headers out. Strict, as every leniency here is a way to smuggle. */
import { HeaderList } from "../../http/header-list.ts";
import { hasToken, nameCharacters, parseContentLength } from "./http1-grammar.ts";

/** An answer (or what claims to be one) that breaks the protocol. The message is in the words of Envoy's details. */
export class Http1ProtocolError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "Http1ProtocolError";
  }
}

export interface ResponseHead {
  readonly status: number;
  readonly headers: HeaderList;
  /** Undefined where none was said. */
  readonly contentLength: number | undefined;
  readonly isChunked: boolean;
  /** False where the server closes after this answer. */
  readonly isKeptAlive: boolean;
  /** The value of Upgrade, for 101. */
  readonly upgrade: string;
}

export interface HeadLimits {
  readonly maxHeaders: number;
  readonly keepsSpelling: boolean;
  readonly allowsChunkedLength: boolean;
}

/** Codes of characters. */
const carriageReturn = 13;
const lineFeed = 10;
const space = 32;
const tab = 9;
const colon = 58;

/** What the framing headers of a head say, while it is read. */
class Framing {
  contentLength: number | undefined = undefined;
  /** Undefined where there is none: an empty one is wrong, and not nothing. */
  transferEncoding: string | undefined = undefined;
  connection = "";
  proxyConnection = "";
  upgrade = "";

  /** Notes a framing header, and says whether it goes no further. */
  take(name: string, value: string): boolean {
    // By length first: this runs for every header of every answer.
    switch (name.length) {
      case 7:
        if (name !== "upgrade") return false;
        this.upgrade = value;
        return true;
      case 10:
        if (name === "keep-alive") return true;
        if (name !== "connection") return false;
        this.connection = this.connection === "" ? value : `${this.connection},${value}`;
        return true;
      case 14:
        if (name !== "content-length") return false;
        return this.#takeLength(value);
      case 16:
        if (name !== "proxy-connection") return false;
        this.proxyConnection = value;
        return true;
      case 17:
        if (name !== "transfer-encoding") return false;
        this.transferEncoding = this.transferEncoding === undefined ? value : `${this.transferEncoding},${value}`;
        return true;
      default:
        return false;
    }
  }

  #takeLength(value: string): boolean {
    const length = parseContentLength(value);
    if (length === undefined) throw new Http1ProtocolError("http1.codec_error");
    // Also where both say the same, as Envoy does.
    if (this.contentLength !== undefined) throw new Http1ProtocolError("http1.multiple_content_length");
    this.contentLength = length;
    return false;
  }
}

/**
 * Reads a head without its last empty line: `text` up to `end`, which is where the line break of the last line begins.
 * Throws Http1ProtocolError.
 */
export function parseResponseHead(text: string, end: number, limits: HeadLimits): ResponseHead {
  const status = parseStatusLine(text);
  const isOld = text.charCodeAt(7) === 48;
  const raw: string[] = [];
  const framing = new Framing();
  const spelling = limits.keepsSpelling ? new Map<string, string>() : undefined;
  let position = endOfLine(text, 12) + 2;
  while (position < end) {
    const signed = endOfName(text, position);
    const nameEnd = Math.abs(signed);
    const spelt = text.slice(position, nameEnd);
    const name = signed > 0 ? spelt : spelt.toLowerCase();
    let from = nameEnd + 1;
    while (isBlank(text.charCodeAt(from))) from++;
    const lineEnd = endOfLine(text, from);
    let to = lineEnd;
    while (to > from && isBlank(text.charCodeAt(to - 1))) to--;
    const value = text.slice(from, to);
    if (!framing.take(name, value)) {
      raw.push(name, value);
      spelling?.set(name, spelt);
    }
    position = lineEnd + 2;
  }
  if (raw.length > 2 * limits.maxHeaders) throw new Http1ProtocolError("http1.too_many_headers");
  const headers = new HeaderList(raw);
  headers.spelling = spelling;
  return finishHead({ status, headers, framing, isOld, limits });
}

interface HeadParts {
  readonly status: number;
  readonly headers: HeaderList;
  readonly framing: Framing;
  readonly isOld: boolean;
  readonly limits: HeadLimits;
}

function finishHead({ status, headers, framing, isOld, limits }: HeadParts): ResponseHead {
  const { transferEncoding, connection, upgrade } = framing;
  const isChunked = transferEncoding !== undefined;
  if (isChunked && (!hasToken(transferEncoding, "chunked") || transferEncoding.includes(","))) {
    throw new Http1ProtocolError("http1.invalid_transfer_encoding");
  }
  let { contentLength } = framing;
  if (isChunked && contentLength !== undefined) {
    if (!limits.allowsChunkedLength) throw new Http1ProtocolError("http1.content_length_and_chunked_not_allowed");
    headers.remove("content-length");
    contentLength = undefined;
  }
  if (status < 200 || status === 204) {
    if (isChunked && status !== 101) throw new Http1ProtocolError("http1.transfer_encoding_not_allowed");
    if (contentLength !== undefined) {
      if (contentLength !== 0) throw new Http1ProtocolError("http1.content_length_not_allowed");
      headers.remove("content-length");
    }
  }
  if (status === 101) headers.raw.push("connection", "upgrade", "upgrade", upgrade);
  return { status, headers, contentLength, isChunked, isKeptAlive: isKept(framing, connection, isOld), upgrade };
}

function isKept({ proxyConnection }: Framing, connection: string, isOld: boolean): boolean {
  if (proxyConnection !== "" && hasToken(proxyConnection, "close")) return false;
  if (connection === "") return !isOld;
  if (hasToken(connection, "close")) return false;
  return !isOld || hasToken(connection, "keep-alive");
}

/** "HTTP/1.1 200 OK": any reason, which is not passed on. */
function parseStatusLine(text: string): number {
  const minor = text.charCodeAt(7);
  if (!text.startsWith("HTTP/1.") || (minor !== 48 && minor !== 49) || text.charCodeAt(8) !== space) {
    throw new Http1ProtocolError("http1.codec_error");
  }
  const status = parseContentLength(text.slice(9, 12));
  const after = text.charCodeAt(12);
  if (status === undefined || status < 100 || status > 999 || (after !== space && after !== carriageReturn)) {
    throw new Http1ProtocolError("http1.codec_error");
  }
  return status;
}

/** The place of the colon; negative where the name has capital letters: two results without an object for each header. */
function endOfName(text: string, from: number): number {
  let at = from;
  let kinds = 0;
  let kind = nameCharacters[text.charCodeAt(at)] ?? 0;
  while (kind !== 0) {
    kinds |= kind;
    at++;
    kind = nameCharacters[text.charCodeAt(at)] ?? 0;
  }
  if (at === from || text.charCodeAt(at) !== colon) throw new Http1ProtocolError("http1.codec_error");
  return (kinds & 2) === 0 ? at : -at;
}

/** The place of the line break that ends a value. */
function endOfLine(text: string, from: number): number {
  let at = from;
  for (;;) {
    const code = text.charCodeAt(at);
    if (code === carriageReturn) break;
    if ((code < space && code !== tab) || code === 127 || Number.isNaN(code)) {
      throw new Http1ProtocolError("http1.codec_error");
    }
    at++;
  }
  if (text.charCodeAt(at + 1) !== lineFeed) throw new Http1ProtocolError("http1.codec_error");
  return at;
}

function isBlank(code: number): boolean {
  return code === space || code === tab;
}
