/** SETTINGS of HTTP/2 (RFC 9113, section 6.5). */
import { ConnectionError, errorCodes, protocolError } from "./error-codes.ts";
import { defaultFrameBytes, largest31 } from "./frame-types.ts";

const ids = {
  headerTableSize: 0x1,
  enablePush: 0x2,
  maxConcurrentStreams: 0x3,
  initialWindowSize: 0x4,
  maxFrameSize: 0x5,
  enableConnectProtocol: 0x8,
} as const;

const largestFrame = 2 ** 24 - 1;
const entryBytes = 6;
export const defaultWindow = 65_535;

/** What a side says of itself. */
export interface OwnSettings {
  readonly headerTableSize: number;
  readonly initialWindowSize: number;
  /** Streams that the peer may have open; not said where undefined. */
  readonly maxConcurrentStreams?: number;
  /** RFC 8441: a server's. */
  readonly enableConnectProtocol?: boolean;
  /** A client's. */
  readonly enablePush?: false;
}

/** What the peer has said; what it has not is not there. */
export interface PeerSettings {
  headerTableSize?: number;
  maxConcurrentStreams?: number;
  initialWindowSize?: number;
  maxFrameSize?: number;
  enableConnectProtocol?: boolean;
}

export function formatSettings(settings: OwnSettings): Buffer {
  const { headerTableSize, enablePush, enableConnectProtocol, maxConcurrentStreams, initialWindowSize } = settings;
  const pairs = [
    [ids.headerTableSize, headerTableSize],
    [ids.enablePush, toNumber(enablePush)],
    [ids.enableConnectProtocol, toNumber(enableConnectProtocol)],
    [ids.maxConcurrentStreams, maxConcurrentStreams],
    [ids.initialWindowSize, initialWindowSize],
  ] as const;
  const said = pairs.flatMap(([id, value]) => (value === undefined ? [] : [[id, value] as const]));
  const payload = Buffer.alloc(said.length * entryBytes);
  let at = 0;
  for (const [id, value] of said) at = payload.writeUInt32BE(value, payload.writeUInt16BE(id, at));
  return payload;
}

function toNumber(value: boolean | undefined): number | undefined {
  return value === undefined ? undefined : Number(value);
}

/** The last one of each kind counts, unknown ones are ignored. Throws ConnectionError. */
export function parseSettings(payload: Buffer): PeerSettings {
  const settings: PeerSettings = {};
  for (let at = 0; at + entryBytes <= payload.length; at += entryBytes) {
    take(settings, payload.readUInt16BE(at), payload.readUInt32BE(at + 2));
  }
  return settings;
}

function take(settings: PeerSettings, id: number, value: number): void {
  switch (id) {
    case ids.headerTableSize:
      settings.headerTableSize = value;
      return;
    case ids.enablePush:
      if (value > 1) throw protocolError("SETTINGS: invalid SETTINGS_ENABLE_PUSH");
      return;
    case ids.maxConcurrentStreams:
      settings.maxConcurrentStreams = value;
      return;
    case ids.initialWindowSize:
      if (value > largest31) {
        throw new ConnectionError(errorCodes.flowControl, "SETTINGS: too large SETTINGS_INITIAL_WINDOW_SIZE");
      }
      settings.initialWindowSize = value;
      return;
    case ids.maxFrameSize:
      if (value < defaultFrameBytes || value > largestFrame) {
        throw protocolError("SETTINGS: invalid SETTINGS_MAX_FRAME_SIZE");
      }
      settings.maxFrameSize = value;
      return;
    case ids.enableConnectProtocol:
      if (value > 1) throw protocolError("SETTINGS: invalid SETTINGS_ENABLE_CONNECT_PROTOCOL");
      settings.enableConnectProtocol = value === 1;
      return;
    default:
  }
}
