/** Frames of WebSocket written by hand (RFC 6455, section 5.2), good and bad ones. */

export const opcodes = { more: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

export interface FrameOptions {
  /** False where more of the message follows. */
  readonly isFinal?: boolean;
  /** The three reserved bits. */
  readonly reserved?: number;
  /** Clients mask what they say. */
  readonly isMasked?: boolean;
  /** Writes the length in so many bytes, also where fewer would do. */
  readonly lengthBytes?: 0 | 2 | 8;
}

const mask = Buffer.from([0x37, 0xfa, 0x21, 0x3d]);

/** One frame of a client; text is UTF-8. */
export function buildFrame(opcode: number, payload: Uint8Array | string = "", options: FrameOptions = {}): Buffer {
  const { isFinal = true, reserved = 0, isMasked = true } = options;
  const bytes = Buffer.from(payload as string);
  const head = Buffer.from([(isFinal ? 0x80 : 0) | (reserved << 4) | opcode]);
  const length = buildLength(bytes.length, isMasked ? 0x80 : 0, options.lengthBytes);
  if (!isMasked) return Buffer.concat([head, length, bytes]);
  for (let index = 0; index < bytes.length; index++) bytes[index] = (bytes[index] ?? 0) ^ (mask[index % 4] ?? 0);
  return Buffer.concat([head, length, mask, bytes]);
}

function buildLength(length: number, bit: number, lengthBytes?: 0 | 2 | 8): Buffer {
  const size = lengthBytes ?? chooseLengthBytes(length);
  if (size === 0) return Buffer.from([bit | length]);
  const bytes = Buffer.alloc(1 + size);
  bytes[0] = bit | (size === 2 ? 126 : 127);
  bytes.writeUIntBE(length, size === 2 ? 1 : 3, size === 2 ? 2 : 6);
  return bytes;
}

function chooseLengthBytes(length: number): 0 | 2 | 8 {
  if (length < 126) return 0;
  return length < 65_536 ? 2 : 8;
}

/** The payload of a closing frame. */
export function buildClose(code: number, reason: Uint8Array | string = ""): Buffer {
  const payload = Buffer.alloc(2);
  payload.writeUInt16BE(code);
  return buildFrame(opcodes.close, Buffer.concat([payload, Buffer.from(reason as string)]));
}

/** True where a server's frames have a closing one among them. */
export function hasClose(bytes: Buffer): boolean {
  let at = 0;
  while (bytes.length >= at + 2) {
    if ((bytes.readUInt8(at) & 0x0f) === opcodes.close) return true;
    const short = bytes.readUInt8(at + 1) & 0x7f;
    const size = { 126: 2, 127: 8 }[short] ?? 0;
    if (bytes.length < at + 2 + size) return false;
    const length = size === 0 ? short : bytes.readUIntBE(at + 2 + Math.max(0, size - 6), Math.min(size, 6));
    at += 2 + size + length;
  }
  return false;
}
