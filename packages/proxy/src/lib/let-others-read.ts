import type { Duplex } from "node:stream";

/** Bytes that the platform reads from a socket at once. */
export const readSize = 64 * 1024;

/**
 * Ends the turn of a socket that may have more. The platform goes on reading one socket while each read is full, up to 32
 * times: 2 MB for which all others wait, and with 50 such sockets a tenth of a second. `mayGoOn` is asked afterwards: what
 * was paused meanwhile stays so.
 */
export function letOthersRead(stream: Duplex, mayGoOn: () => boolean): void {
  stream.pause();
  setImmediate(() => {
    if (mayGoOn()) stream.resume();
  });
}
