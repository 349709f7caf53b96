/** What may be sent of one call's data (RFC 9113, section 5.2), in frames that everybody takes. */
import { buildFrame, frameTypes } from "../../proxies/http2-frames.ts";

const streamWindowSetting = 4;
const firstWindow = 65_535;
const mostFrameBytes = 16_384;

export class SendWindow {
  readonly #stream: number;
  readonly #waiting: Buffer[] = [];
  #initial = firstWindow;
  #ofStream = firstWindow;
  #ofConnection = firstWindow;

  constructor(stream: number) {
    this.#stream = stream;
  }

  /** The frames that can be sent now; the rest waits for room. */
  push(parts: readonly Buffer[]): readonly Buffer[] {
    this.#waiting.push(...parts);
    return this.#cut();
  }

  /** The server states how much it takes of each call. */
  handleSettings(payload: Buffer): readonly Buffer[] {
    for (let at = 0; at + 6 <= payload.length; at += 6) {
      if (payload.readUInt16BE(at) !== streamWindowSetting) continue;
      const initial = payload.readUInt32BE(at + 2);
      this.#ofStream += initial - this.#initial;
      this.#initial = initial;
    }
    return this.#cut();
  }

  handleUpdate(payload: Buffer, of: number): readonly Buffer[] {
    const bytes = payload.readUInt32BE(0) & 0x7fff_ffff;
    if (of === 0) this.#ofConnection += bytes;
    else this.#ofStream += bytes;
    return this.#cut();
  }

  #cut(): readonly Buffer[] {
    const frames: Buffer[] = [];
    for (;;) {
      const [first] = this.#waiting;
      const room = Math.min(this.#ofStream, this.#ofConnection, mostFrameBytes);
      if (first === undefined || room <= 0) return frames;
      const payload = first.subarray(0, room);
      if (payload.length < first.length) this.#waiting[0] = first.subarray(payload.length);
      else this.#waiting.shift();
      this.#ofStream -= payload.length;
      this.#ofConnection -= payload.length;
      frames.push(buildFrame({ type: frameTypes.data, flags: 0, stream: this.#stream, payload }));
    }
  }
}
