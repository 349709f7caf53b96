/** Frames of HTTP/2 written by hand (RFC 9113), with headers in the plainest form of HPACK: any name, any value. */

const frameTypes = { data: 0, headers: 1, reset: 3, settings: 4, goaway: 7, continuation: 9 } as const;

export const endStream = 0x1;
export const endHeaders = 0x4;

/** Name and value; each character is a byte. */
export type Field = readonly [name: string, value: string];

export function buildFrame(type: number, flags: number, stream: number, payload: Uint8Array | string = ""): Buffer {
  const body = typeof payload === "string" ? Buffer.from(payload, "latin1") : Buffer.from(payload);
  const head = Buffer.alloc(9);
  head.writeUIntBE(body.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, body]);
}

/** A request's head; with `flags` 0 it goes on in `buildContinuation`. */
export function buildHeaders(stream: number, fields: readonly Field[], flags: number = endHeaders | endStream): Buffer {
  return buildFrame(frameTypes.headers, flags, stream, buildFieldBlock(fields));
}

export function buildContinuation(stream: number, fields: readonly Field[], flags: number = endHeaders): Buffer {
  return buildFrame(frameTypes.continuation, flags, stream, buildFieldBlock(fields));
}

export function buildData(stream: number, text: string, flags: number = endStream): Buffer {
  return buildFrame(frameTypes.data, flags, stream, text);
}

/** The preface, and settings that keep the answers' headers readable for `parseStatus`: no table of former ones. */
export function buildOpening(): Buffer {
  const noTable = Buffer.from([0, 1, 0, 0, 0, 0]);
  return Buffer.concat([
    Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    buildFrame(frameTypes.settings, 0, 0, noTable),
  ]);
}

export function buildSettingsAck(): Buffer {
  return buildFrame(frameTypes.settings, 1, 0);
}

/** Literals without indexing (RFC 7541, section 6.2.2), without Huffman coding. */
function buildFieldBlock(fields: readonly Field[]): Buffer {
  return Buffer.concat(fields.flatMap(([name, value]) => [Buffer.from([0]), buildString(name), buildString(value)]));
}

function buildString(text: string): Buffer {
  const bytes = Buffer.from(text, "latin1");
  if (bytes.length < 127) return Buffer.concat([Buffer.from([bytes.length]), bytes]);
  const length = [127];
  let rest = bytes.length - 127;
  for (; rest >= 128; rest = Math.floor(rest / 128)) length.push((rest % 128) + 128);
  return Buffer.concat([Buffer.from([...length, rest]), bytes]);
}

export interface Frame {
  readonly type: keyof typeof frameTypes | "other";
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

/** Whole frames, and the bytes behind them. */
export function parseFrames(bytes: Buffer): { readonly frames: readonly Frame[]; readonly rest: Buffer } {
  const frames: Frame[] = [];
  let at = 0;
  while (bytes.length >= at + 9) {
    const end = at + 9 + bytes.readUIntBE(at, 3);
    if (bytes.length < end) break;
    const code = bytes.readUInt8(at + 3);
    const names = Object.keys(frameTypes) as (keyof typeof frameTypes)[];
    const type = names.find((name) => frameTypes[name] === code) ?? "other";
    const stream = bytes.readUInt32BE(at + 5) & 0x7fffffff;
    frames.push({ type, flags: bytes.readUInt8(at + 4), stream, payload: bytes.subarray(at + 9, end) });
    at = end;
  }
  return { frames, rest: bytes.subarray(at) };
}

/** By their number from 8 on in the static table (RFC 7541, appendix A). */
const indexedStatuses = [200, 204, 206, 304, 400, 404, 500];
/** Huffman codes of the digits (RFC 7541, appendix B): five bits for the first three, six for the others. */
const digitCodes: ReadonlyMap<string, string> = new Map(
  Array.from({ length: 10 }, (_, digit) => {
    const code = digit < 3 ? digit.toString(2).padStart(5, "0") : (22 + digit).toString(2).padStart(6, "0");
    return [code, String(digit)];
  }),
);

/** The status in the head of an answer, where it must come first; undefined for trailers. */
export function parseStatus(block: Buffer): number | undefined {
  let at = 0;
  // Changes of the table's size come before it.
  while (at < block.length && ((block[at] ?? 0) & 0xe0) === 0x20) at += 1;
  const first = block[at] ?? 0;
  if ((first & 0x80) !== 0) return indexedStatuses[(first & 0x7f) - 8];
  const hasName = [0x48, 0x08, 0x18].includes(first);
  if (!hasName) return undefined;
  const length = block[at + 1] ?? 0;
  const value = block.subarray(at + 2, at + 2 + (length & 0x7f));
  return Number((length & 0x80) === 0 ? value.toString("latin1") : parseHuffmanDigits(value));
}

function parseHuffmanDigits(bytes: Buffer): string {
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, "0")).join("");
  let text = "";
  let code = "";
  for (const bit of bits) {
    code += bit;
    const digit = digitCodes.get(code);
    if (digit === undefined) continue;
    text += digit;
    code = "";
  }
  return text;
}
