/** Frames of HTTP/2 (RFC 9113, section 4), written by hand: no library sends what attackers send. */

export const frameTypes = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  ping: 6,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const endStream = 0x1;
export const endHeaders = 0x4;

interface Frame {
  readonly type: keyof typeof frameTypes;
  readonly flags?: number;
  readonly stream?: number;
  readonly payload?: Buffer;
}

const empty = Buffer.alloc(0);

export function buildFrame({ type, flags = 0, stream = 0, payload = empty }: Frame): Buffer {
  const frame = Buffer.alloc(9 + payload.length);
  frame.writeUIntBE(payload.length, 0, 3);
  frame.writeUInt8(frameTypes[type], 3);
  frame.writeUInt8(flags, 4);
  frame.writeUInt32BE(stream, 5);
  payload.copy(frame, 9);
  return frame;
}

/** The preface of a connection, with settings as pairs of number and value. */
export function buildPreface(settings: readonly (readonly [id: number, value: number])[] = []): Buffer {
  const payload = Buffer.alloc(settings.length * 6);
  for (const [index, [id, value]] of settings.entries()) {
    payload.writeUInt16BE(id, index * 6);
    payload.writeUInt32BE(value, index * 6 + 2);
  }
  return Buffer.concat([Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), buildFrame({ type: "settings", payload })]);
}

/** A header block of HPACK (RFC 7541): GET of `path`, without Huffman codes and without use of the dynamic table. */
export function encodeGet(path: string): Buffer {
  return Buffer.concat([Buffer.from([0x82, 0x86]), literal(0x04, path), literal(0x01, "shop.test")]);
}

/** `name` is an index of the static table, of a header whose value follows as a literal. */
function literal(name: number, value: string): Buffer {
  return Buffer.concat([Buffer.from([name]), encodeString(value)]);
}

/** At most 16,000 bytes. */
export function encodeString(text: string): Buffer {
  const bytes = Buffer.from(text);
  if (bytes.length < 127) return Buffer.concat([Buffer.from([bytes.length]), bytes]);
  const rest = bytes.length - 127;
  return Buffer.concat([Buffer.from([127, 0x80 | (rest & 0x7f), rest >> 7]), bytes]);
}
