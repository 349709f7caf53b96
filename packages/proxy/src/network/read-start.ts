import type { Duplex } from "node:stream";

/**
 * Reads the first bytes of a stream: `measure` says how many of those that came are to be taken, or that it has to see
 * "more". The others are put back. Nothing is taken where the stream ends before.
 */
export function readStart(stream: Duplex, measure: (bytes: Buffer) => number | "more"): Promise<Buffer> {
  return new Promise((resolve) => {
    let bytes: Buffer = Buffer.alloc(0);
    const onReadable = (): void => {
      for (let chunk = read(stream); chunk !== null; chunk = read(stream)) {
        bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk]);
        const length = measure(bytes);
        if (length !== "more") {
          finish(length);
          return;
        }
      }
    };
    const onEnd = (): void => finish(0);
    const finish = (length: number): void => {
      stream.off("readable", onReadable).off("end", onEnd).off("close", onEnd);
      // At once, so that an end that has come already waits for them.
      const rest = bytes.subarray(length);
      if (rest.length > 0 && !stream.destroyed && !stream.readableEnded) stream.unshift(rest);
      // Leaving "readable" takes effect on the next tick.
      process.nextTick(() => resolve(bytes.subarray(0, length)));
    };
    stream.on("readable", onReadable).on("end", onEnd).on("close", onEnd);
  });
}

function read(stream: Duplex): Buffer | null {
  return stream.read() as Buffer | null;
}
