/** DER (X.690) as far as the library does not serve: elements as they stand in the bytes, and wrapping finished ones. */
import { Buffer } from "node:buffer";

export interface DerElement {
  readonly tag: number;
  /** With tag and length. */
  readonly bytes: Uint8Array;
  /** Without them. */
  readonly content: Uint8Array;
}

/** Elements stand in each other at most so deep; requests and certificates need about eight levels. */
const maxDepth = 24;
const constructedBit = 0x20;

/** The elements that stand one after the other in `bytes`; undefined where these are no DER, or have something behind. */
export function listElements(bytes: Uint8Array): readonly DerElement[] | undefined {
  const elements: DerElement[] = [];
  for (let offset = 0; offset < bytes.length; ) {
    const element = readElement(bytes, offset);
    if (element === undefined) return undefined;
    elements.push(element);
    offset += element.bytes.length;
  }
  return elements;
}

/**
 * True for exactly one element in DER, with all that stands in it: definite and shortest lengths, nothing behind. What
 * parsers of BER take in several ways is not among that.
 */
export function isOneElement(bytes: Uint8Array): boolean {
  return listElements(bytes)?.length === 1 && isStrict(bytes, 0);
}

function isStrict(bytes: Uint8Array, depth: number): boolean {
  const elements = depth > maxDepth ? undefined : listElements(bytes);
  if (elements === undefined) return false;
  return elements.every(({ tag, content }) => (tag & constructedBit) === 0 || isStrict(content, depth + 1));
}

function readElement(bytes: Uint8Array, offset: number): DerElement | undefined {
  const [tag, first] = [bytes[offset], bytes[offset + 1]];
  // Tags of several bytes are in nothing that we read.
  if (tag === undefined || first === undefined || (tag & 0x1f) === 0x1f) return undefined;
  const lengthBytes = first < 0x80 ? 0 : first & 0x7f;
  const start = offset + 2 + lengthBytes;
  if (first === 0x80 || lengthBytes > 3 || start > bytes.length) return undefined;
  const length = lengthBytes === 0 ? first : readNumber(bytes.subarray(offset + 2, start));
  const isShortest = lengthBytes === 0 || length >= (lengthBytes === 1 ? 0x80 : 256 ** (lengthBytes - 1));
  const end = start + length;
  if (!isShortest || end > bytes.length) return undefined;
  return { tag, bytes: bytes.subarray(offset, end), content: bytes.subarray(start, end) };
}

const readNumber = (bytes: Uint8Array): number => bytes.reduce((sum, byte) => sum * 256 + byte, 0);

export const derTags = {
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

/** One element around finished content. */
export function wrapElement(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), content]);
  const bytes =
    length < 0x100 ? [length] : [length >> 16, (length >> 8) & 0xff, length & 0xff].slice(length < 0x10000 ? 1 : 0);
  return Buffer.concat([Buffer.from([tag, 0x80 | bytes.length, ...bytes]), content]);
}
