/** Cuts bytes into frames of HTTP/2 without copying what they carry. */
import { frameTypes, headBytes } from "../../proxies/http2-frames.ts";

/** A whole frame, or a part of one with data. */
export interface FramePart {
  readonly type: number;
  readonly flags: number;
  readonly payload: Buffer;
  /** The frame ends with it. */
  readonly isLast: boolean;
}

/** Frames other than data are as short as settings are few; longer ones are headers that nobody here reads. */
const none = Buffer.alloc(0);

export class FrameCutter {
  readonly #onPart: (part: FramePart) => void;
  readonly #head = Buffer.alloc(headBytes);
  #headFilled = 0;
  #left = 0;
  #kept: Buffer = none;

  constructor(onPart: (part: FramePart) => void) {
    this.#onPart = onPart;
  }

  /** Stream of the frame that is being read. */
  get stream(): number {
    return this.#head.readUInt32BE(5) & 0x7fff_ffff;
  }

  take(data: Buffer): void {
    let at = 0;
    while (at < data.length) {
      if (this.#headFilled < headBytes) {
        const count = data.copy(this.#head, this.#headFilled, at, at + headBytes - this.#headFilled);
        this.#headFilled += count;
        at += count;
        if (this.#headFilled < headBytes) return;
        this.#left = this.#head.readUIntBE(0, 3);
        if (this.#left === 0) this.#finish(none);
        continue;
      }
      const part = data.subarray(at, at + this.#left);
      at += part.length;
      this.#left -= part.length;
      if (this.#left === 0) this.#finish(part);
      else this.#keep(part);
    }
  }

  #keep(part: Buffer): void {
    const type = this.#head.readUInt8(3);
    if (type === frameTypes.data) this.#emit(part, false);
    else this.#kept = Buffer.concat([this.#kept, part]);
  }

  #finish(part: Buffer): void {
    const payload = this.#kept.length === 0 ? part : Buffer.concat([this.#kept, part]);
    this.#kept = none;
    this.#headFilled = 0;
    this.#emit(payload, true);
  }

  #emit(payload: Buffer, isLast: boolean): void {
    this.#onPart({ type: this.#head.readUInt8(3), flags: this.#head.readUInt8(4), payload, isLast });
  }
}
