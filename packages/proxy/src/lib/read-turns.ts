import type { Duplex } from "node:stream";
import { TurnLine } from "./turn-line.ts";

/** Bytes that the platform reads from a socket at once. */
export const readSize = 64 * 1024;

/** Sockets with 64 KiB each that go on in a turn of the event loop. */
const wholeTurn = 8;
const line = new TurnLine(wholeTurn);

/**
 * Full reads after which others have their turn. One, where the platform stops at once; a stream that gives "data" takes in
 * one more when it is paused, which costs a fifth of what a TCP proxy carries when it happens with every read.
 */
const ofReader = 1;
const ofStream = 4;

/**
 * Has a socket that is full read in turn with all others. The platform goes on reading one while each read is full, up to
 * 32 times: 2 MB for which everybody else waits, and with 50 such sockets a tenth of a second. Where many are full, some of
 * them go on in each turn of the event loop.
 */
export class ReadTurns {
  readonly #stream: Duplex;
  readonly #mayGoOn: () => boolean;
  readonly #most: number;
  #fullReads = 0;

  /** `mayGoOn` is asked when others had their turn: what was paused meanwhile stays so. */
  constructor(
    stream: Duplex,
    { hasReader, mayGoOn }: { readonly hasReader: boolean; readonly mayGoOn: () => boolean },
  ) {
    this.#stream = stream;
    this.#mayGoOn = mayGoOn;
    this.#most = hasReader ? ofReader : ofStream;
  }

  /** So many bytes were read; to be called where the stream goes on. */
  count(bytes: number): void {
    if (bytes < readSize) return;
    this.#fullReads += 1;
    if (this.#fullReads < this.#most) return;
    this.#fullReads = 0;
    this.#wait(1);
  }

  /** What was read was much work: the socket goes on in a turn that it shares with no other. */
  countWork(): void {
    this.#wait(wholeTurn);
  }

  #wait(weight: number): void {
    this.#stream.pause();
    line.take(weight, () => {
      if (this.#mayGoOn()) this.#stream.resume();
    });
  }
}
