/**
 * Content that goes out on many connections as it is, in its DATA frames. A frame names its stream and nothing else that
 * differs, and most connections of one kind use the same number: so the frames are made once, and a whole message is a single
 * piece of memory for the writer.
 */
import { defaultFrameBytes, frameHeadBytes, frameTypes } from "./frame-types.ts";

/** Content of each frame but the last: what every peer takes. */
const contentBytes = defaultFrameBytes;
const wholeBytes = frameHeadBytes + contentBytes;

export class SharedFrames {
  readonly stream: number;
  /** Bytes of the content. */
  readonly length: number;
  readonly #frames: Buffer;

  /** Copies the content, which is `parts` one after the other, for streams of this number. */
  constructor(stream: number, parts: readonly Uint8Array[]) {
    this.stream = stream;
    this.length = parts.reduce((length, part) => length + part.length, 0);
    const count = Math.ceil(this.length / contentBytes);
    this.#frames = Buffer.allocUnsafeSlow(this.length + count * frameHeadBytes);
    for (let index = 0; index < count; index++) {
      const place = index * wholeBytes;
      this.#frames.writeUIntBE(Math.min(contentBytes, this.length - index * contentBytes), place, 3);
      this.#frames[place + 3] = frameTypes.data;
      this.#frames[place + 4] = 0;
      this.#frames.writeUInt32BE(stream, place + 5);
    }
    let at = 0;
    for (const part of parts) {
      for (let taken = 0; taken < part.length; ) {
        const length = Math.min(contentBytes - (at % contentBytes), part.length - taken);
        this.#frames.set(part.subarray(taken, taken + length), placeOf(at));
        taken += length;
        at += length;
      }
    }
  }

  /** How much of the content from `at` on, of at most `most` bytes, is whole frames; 0 where no frame begins there. */
  wholeLength(at: number, most: number): number {
    if (at % contentBytes !== 0) return 0;
    return most >= this.length - at ? this.length - at : most - (most % contentBytes);
  }

  /** So many bytes of content, as `wholeLength` has told, in their frames. */
  cutFrames(at: number, length: number): Buffer {
    return this.#frames.subarray(placeOf(at) - frameHeadBytes, placeOf(at + length - 1) + 1);
  }

  /** Content without its frames: at most so many bytes, and at most to the end of a frame. */
  cutContent(at: number, most: number): Buffer {
    const length = Math.min(most, this.length - at, contentBytes - (at % contentBytes));
    return this.#frames.subarray(placeOf(at), placeOf(at) + length);
  }

  /** Frames that so many bytes of content take. */
  static countFrames(length: number): number {
    return Math.ceil(length / contentBytes);
  }
}

/** Where a byte of the content lies. */
function placeOf(at: number): number {
  return Math.floor(at / contentBytes) * wholeBytes + frameHeadBytes + (at % contentBytes);
}
