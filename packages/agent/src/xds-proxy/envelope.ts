/**
 * What the proxy has to know of messages that it passes on: their type and nonce. The rest stays encoded, however much it
 * is (field numbers: envoy.service.discovery.v3).
 */
export type Variant = "sotw" | "delta";

export interface Envelope {
  readonly typeUrl: string;
  readonly nonce: string;
}

/** Of DiscoveryRequest or DeltaDiscoveryRequest; undefined where the bytes are no message. */
export function readRequest(bytes: Uint8Array, variant: Variant): Envelope | undefined {
  return readTexts(bytes, variant === "sotw" ? { typeUrl: 4, nonce: 5 } : { typeUrl: 2, nonce: 6 });
}

/** Of DiscoveryResponse or DeltaDiscoveryResponse, whose numbers agree; undefined where the bytes are no message. */
export function readResponse(bytes: Uint8Array): Envelope | undefined {
  return readTexts(bytes, { typeUrl: 4, nonce: 5 });
}

interface FieldNumbers {
  readonly typeUrl: number;
  readonly nonce: number;
}

const [varint, fixed64, lengthDelimited, fixed32] = [0, 1, 2, 5];

/** Of a field that comes twice the last one counts, as in every parser of protobuf. */
function readTexts(bytes: Uint8Array, numbers: FieldNumbers): Envelope | undefined {
  let [typeUrl, nonce, offset] = ["", "", 0];
  while (offset < bytes.length) {
    const field = readField(bytes, offset);
    if (field === undefined) return undefined;
    if (field.number === numbers.typeUrl) typeUrl = textOf(field.content);
    if (field.number === numbers.nonce) nonce = textOf(field.content);
    offset = field.next;
  }
  return { typeUrl, nonce };
}

interface Field {
  readonly number: number;
  /** Of texts, bytes and messages; empty for numbers. */
  readonly content: Uint8Array;
  readonly next: number;
}

function readField(bytes: Uint8Array, offset: number): Field | undefined {
  const tag = readVarint(bytes, offset);
  if (tag === undefined) return undefined;
  const [number, wire] = [Math.floor(tag.value / 8), tag.value % 8];
  if (wire !== lengthDelimited) {
    const next = skip(bytes, tag.next, wire);
    return next === undefined ? undefined : { number, content: nothing, next };
  }
  const length = readVarint(bytes, tag.next);
  if (length === undefined) return undefined;
  const next = length.next + length.value;
  return next > bytes.length ? undefined : { number, content: bytes.subarray(length.next, next), next };
}

const nothing = new Uint8Array();

function skip(bytes: Uint8Array, offset: number, wire: number): number | undefined {
  if (wire === varint) return readVarint(bytes, offset)?.next;
  const end = offset + (wire === fixed64 ? 8 : 4);
  return (wire === fixed64 || wire === fixed32) && end <= bytes.length ? end : undefined;
}

/** A number beyond 2^53 loses its last digits, which no tag and no length that fits has. */
function readVarint(bytes: Uint8Array, start: number): { readonly value: number; readonly next: number } | undefined {
  let value = 0;
  for (let index = 0; index < 10; index += 1) {
    const byte = bytes[start + index];
    if (byte === undefined) return undefined;
    value += (byte & 0x7f) * 2 ** (7 * index);
    if (byte < 0x80) return { value, next: start + index + 1 };
  }
  return undefined;
}

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString();
