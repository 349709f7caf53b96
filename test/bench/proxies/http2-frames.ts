/** Frames of HTTP/2 (RFC 9113, section 4), as far as both ends of the bench send and expect them. */

export const frameTypes = {
  data: 0,
  headers: 1,
  resetStream: 3,
  settings: 4,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
} as const;
export const flags = { ack: 1, endStream: 1, endHeaders: 4, padded: 8, priority: 32 } as const;
export const preface: Buffer = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  /** Valid until the reader is given more. */
  readonly payload: Buffer;
}

export const headBytes = 9;
const [defaultTableBytes, defaultFrameBytes] = [4096, 16_384];
const settingNames = { tableSize: 1, streamWindow: 4 } as const;

export function buildFrame({ type, flags: set, stream, payload }: Frame): Buffer {
  const frame = Buffer.alloc(headBytes + payload.length);
  frame.writeUIntBE(payload.length, 0, 3);
  frame[3] = type;
  frame[4] = set;
  frame.writeUInt32BE(stream, 5);
  payload.copy(frame, headBytes);
  return frame;
}

/** The settings of either end of the bench, and a window for the connection that is filled up again in time. */
export function buildOpening(): Buffer {
  const streamWindow = Buffer.alloc(6);
  streamWindow.writeUInt16BE(settingNames.streamWindow, 0);
  streamWindow.writeUInt32BE(1 << 20, 2);
  return Buffer.concat([
    buildFrame({ type: frameTypes.settings, flags: 0, stream: 0, payload: streamWindow }),
    buildWindowUpdate(1 << 30),
  ]);
}

/** For the connection. */
export function buildWindowUpdate(bytes: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(bytes);
  return buildFrame({ type: frameTypes.windowUpdate, flags: 0, stream: 0, payload });
}

/** What has to be answered at once whoever gets it; undefined for all other frames. Throws for settings that do not fit. */
export function answerControlFrame({ type, flags: set, payload }: Frame): Buffer | undefined {
  if ((type !== frameTypes.settings && type !== frameTypes.ping) || (set & flags.ack) !== 0) return undefined;
  if (type === frameTypes.settings) checkSettings(payload);
  const answer = type === frameTypes.ping ? payload : Buffer.alloc(0);
  return buildFrame({ type, flags: flags.ack, stream: 0, payload: answer });
}

/** The bench sends short frames and keeps to the table of headers and the windows that everybody has at first. */
function checkSettings(payload: Buffer): void {
  for (let at = 0; at < payload.length; at += 6) {
    const [name, value] = [payload.readUInt16BE(at), payload.readUInt32BE(at + 2)];
    const isTooSmall =
      (name === settingNames.tableSize && value < defaultTableBytes) ||
      (name === settingNames.streamWindow && value < defaultFrameBytes);
    if (isTooSmall) throw new Error(`setting ${name} is ${value}, less than the bench needs`);
  }
}

/** A field that enters the decoder's table (RFC 7541, section 6.2.1); `name` is an index of the static table. */
export function encodeField(name: number, value: string): Buffer {
  return Buffer.concat([Buffer.from([0x40 | name, value.length]), Buffer.from(value, "latin1")]);
}

/** The fields that entered the table in one block, oldest first, by their indices from then on. */
export function encodeKnownFields(count: number): Buffer {
  const firstDynamic = 62;
  return Buffer.from(Array.from({ length: count }, (_, index) => 0x80 | (firstDynamic + count - 1 - index)));
}

/** Cuts a stream into frames. */
export function createFrameReader(onFrame: (frame: Frame) => void): { take(chunk: Buffer): void } {
  let cut = Buffer.alloc(0);
  return {
    take(chunk) {
      const data = cut.length === 0 ? chunk : Buffer.concat([cut, chunk]);
      let at = 0;
      while (data.length - at >= headBytes) {
        const end = at + headBytes + data.readUIntBE(at, 3);
        if (end > data.length) break;
        onFrame({
          type: data.readUInt8(at + 3),
          flags: data.readUInt8(at + 4),
          stream: data.readUInt32BE(at + 5),
          payload: data.subarray(at + headBytes, end),
        });
        at = end;
      }
      cut = Buffer.from(data.subarray(at));
    },
  };
}
