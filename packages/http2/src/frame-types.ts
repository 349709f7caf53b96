/** Frames of HTTP/2 (RFC 9113, sections 4.1 and 6). */

export const frameTypes = {
  data: 0x0,
  headers: 0x1,
  priority: 0x2,
  reset: 0x3,
  settings: 0x4,
  pushPromise: 0x5,
  ping: 0x6,
  goaway: 0x7,
  windowUpdate: 0x8,
  continuation: 0x9,
} as const;

export const frameFlags = {
  /** Of SETTINGS and PING. */
  ack: 0x1,
  /** Of DATA and HEADERS. */
  endStream: 0x1,
  endHeaders: 0x4,
  padded: 0x8,
  priority: 0x20,
} as const;

export const frameHeadBytes = 9;
/** The longest payload of a frame where nothing else was agreed on (RFC 9113, section 4.2). */
export const defaultFrameBytes = 16_384;
/** The highest number of a stream, and the largest window. */
export const largest31 = 2 ** 31 - 1;

/** What a client says first (RFC 9113, section 3.4). */
export const clientPreface: Buffer = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

export interface FrameHead {
  type: number;
  flags: number;
  /** 0 for the connection itself. */
  stream: number;
  /** Bytes of the payload, with its padding. */
  length: number;
}
