/**
 * Reads server name and protocols from the first message of a TLS client (RFC 8446, 4.1.2), which may be spread over
 * several records. Nothing is verified beyond what has to be read: the handshake itself comes later.
 */
import { joinBuffers } from "../../lib/join-buffers.ts";

export type ClientHello =
  | { readonly kind: "more" }
  | { readonly kind: "not-tls" }
  | { readonly kind: "hello"; readonly sni: string; readonly alpn: readonly string[] };

const notTls: ClientHello = { kind: "not-tls" };
const more: ClientHello = { kind: "more" };

const handshakeRecord = 22;
const clientHelloMessage = 1;
const serverNameExtension = 0;
const alpnExtension = 16;
/** TLSPlaintext.length, RFC 8446, 5.1, with what older versions add to it. */
const maxRecordLength = 16_384 + 2_048;

export function parseClientHello(bytes: Buffer): ClientHello {
  const message = joinRecords(bytes);
  if (message === undefined) return notTls;
  if (message.length < 1) return more;
  if (message[0] !== clientHelloMessage) return notTls;
  if (message.length < 4) return more;
  const length = message.readUIntBE(1, 3);
  if (message.length < 4 + length) return more;
  try {
    return readHello(new Cursor(message.subarray(4, 4 + length)));
  } catch (cause: unknown) {
    if (cause instanceof RangeError) return notTls;
    throw cause;
  }
}

/** The handshake bytes of all records that came; undefined where these are no handshake records. */
function joinRecords(bytes: Buffer): Buffer | undefined {
  const parts: Buffer[] = [];
  let length = 0;
  let offset = 0;
  while (offset < bytes.length) {
    const left = bytes.length - offset;
    if (bytes[offset] !== handshakeRecord) return undefined;
    if (left >= 2 && bytes[offset + 1] !== 3) return undefined;
    if (left < 5) break;
    const recordLength = ((bytes[offset + 3] ?? 0) << 8) | (bytes[offset + 4] ?? 0);
    if (recordLength === 0 || recordLength > maxRecordLength) return undefined;
    const part = bytes.subarray(offset + 5, offset + 5 + recordLength);
    parts.push(part);
    length += part.length;
    offset += 5 + recordLength;
    // What follows the hello, such as early data, is of no interest.
    if (length >= 4 && length >= readWholeLength(parts)) break;
  }
  return joinBuffers(parts);
}

/** Of the message that the parts, four bytes or more, begin. */
function readWholeLength(parts: readonly Buffer[]): number {
  const [first] = parts;
  const head = first !== undefined && first.length >= 4 ? first : Buffer.concat(parts.slice(0, 4));
  return 4 + head.readUIntBE(1, 3);
}

function readHello(hello: Cursor): ClientHello {
  hello.skip(2 + 32);
  hello.skip(hello.uint(1));
  hello.skip(hello.uint(2));
  hello.skip(hello.uint(1));
  let sni = "";
  let alpn: readonly string[] = [];
  if (hello.isAtEnd) return { kind: "hello", sni, alpn };
  const extensions = hello.take(hello.uint(2));
  while (!extensions.isAtEnd) {
    const type = extensions.uint(2);
    const body = extensions.take(extensions.uint(2));
    if (type === serverNameExtension) sni = readServerName(body);
    else if (type === alpnExtension) alpn = readProtocols(body);
  }
  return { kind: "hello", sni, alpn };
}

function readServerName(body: Cursor): string {
  const list = body.take(body.uint(2));
  while (!list.isAtEnd) {
    const type = list.uint(1);
    const name = list.text(list.uint(2));
    if (type === 0) return name.toLowerCase();
  }
  return "";
}

function readProtocols(body: Cursor): readonly string[] {
  const list = body.take(body.uint(2));
  const protocols: string[] = [];
  while (!list.isAtEnd) protocols.push(list.text(list.uint(1)));
  return protocols;
}

/** Reads along; RangeError where there are not enough bytes. */
class Cursor {
  readonly #bytes: Buffer;
  #offset = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#offset >= this.#bytes.length;
  }

  uint(size: 1 | 2): number {
    const value = this.#bytes.readUIntBE(this.#offset, size);
    this.#offset += size;
    return value;
  }

  skip(length: number): void {
    if (this.#offset + length > this.#bytes.length) throw new RangeError("beyond the end");
    this.#offset += length;
  }

  take(length: number): Cursor {
    const start = this.#offset;
    this.skip(length);
    return new Cursor(this.#bytes.subarray(start, start + length));
  }

  text(length: number): string {
    const start = this.#offset;
    this.skip(length);
    return this.#bytes.toString("latin1", start, start + length);
  }
}
