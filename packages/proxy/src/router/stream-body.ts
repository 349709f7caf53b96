/** Bytes of a connection as bodies, for CONNECT requests that end here. */
import type { Duplex } from "node:stream";
import type { BodySource } from "../http/body.ts";

/** What comes from a stream. Cancelling it destroys the stream. */
export function readStream(stream: Duplex): BodySource {
  return {
    pipe(sink) {
      let isOver = false;
      const finish = (run: () => void): void => {
        if (isOver) return;
        isOver = true;
        run();
      };
      stream.on("data", (chunk: Uint8Array) => {
        if (!isOver && !sink.write(chunk)) stream.pause();
      });
      stream.once("end", () => finish(() => sink.end()));
      stream.once("error", (cause: Error) => finish(() => sink.abort(cause)));
      stream.once("close", () => finish(() => sink.abort(new Error("the connection was closed"))));
    },
    resume: () => stream.resume(),
    cancel: () => stream.destroy(),
  };
}

/** Writes a body to a stream, and ends its writing side with it. A body that breaks off destroys the stream. */
export function writeStream(source: BodySource, stream: Duplex): void {
  stream.on("drain", () => source.resume());
  stream.once("close", () => source.cancel());
  source.pipe({
    write: (chunk) => stream.write(chunk),
    end: () => stream.end(),
    abort: () => stream.destroy(),
  });
}
