/**
 * Bytes of a message on their way, with back-pressure: a source is piped into one sink, once. Callbacks instead of the
 * platform's streams, because most bodies are one chunk and a stream for each costs more than all the rest.
 */
import { joinBuffers } from "../lib/join-buffers.ts";
import type { HeaderList } from "./header-list.ts";

export interface BodySink {
  /**
   * Takes bytes. False asks for a pause until the sink calls the source's `resume`. Where `isOwned` is true nobody else
   * will look at the bytes again: whoever writes them out may free their memory then (@meltemi/http2/free-bytes).
   */
  write(chunk: Uint8Array, isOwned?: boolean): boolean;
  /** All bytes were given. Comes once, and nothing after it. */
  end(trailers?: HeaderList): void;
  /** There will be no more, and what was given is not all. Comes at most once, and nothing after it. */
  abort(cause: Error): void;
}

export interface BodySource {
  /** Bytes that are known to be all of it, "content-length"; undefined where that is not known beforehand. */
  readonly length?: number | undefined;
  /** Begins to give to `sink`. To be called exactly once, unless `cancel` was. It may give all of it before it returns. */
  pipe(sink: BodySink): void;
  /** Goes on after `write` was false. Harmless at any other time. */
  resume(): void;
  /** Nobody wants the rest: frees what is held. Harmless after the end; the sink hears nothing any more. */
  cancel(cause?: Error): void;
}

/** A body that is there as a whole. */
export function bodyOf(bytes: Uint8Array, trailers?: HeaderList): BodySource {
  let isCancelled = false;
  return {
    length: bytes.length,
    pipe(sink) {
      if (isCancelled) return;
      if (bytes.length > 0) sink.write(bytes);
      sink.end(trailers);
    },
    resume: () => undefined,
    cancel() {
      isCancelled = true;
    },
  };
}

/** Reads all of a body. Rejects with the cause where it is aborted, and with BodyTooLargeError beyond `limit` bytes. */
export function collect(source: BodySource, limit: number): Promise<Collected> {
  return new Promise((resolve, reject) => {
    const chunks: Uint8Array[] = [];
    let length = 0;
    source.pipe({
      write(chunk) {
        length += chunk.length;
        if (length > limit) {
          const error = new BodyTooLargeError(limit);
          source.cancel(error);
          reject(error);
          return true;
        }
        chunks.push(chunk);
        return true;
      },
      end: (trailers) => resolve({ bytes: joinBuffers(chunks), trailers }),
      abort: reject,
    });
  });
}

export interface Collected {
  readonly bytes: Uint8Array;
  readonly trailers: HeaderList | undefined;
}

export class BodyTooLargeError extends Error {
  constructor(limit: number) {
    super(`the body is longer than ${limit} bytes`);
    this.name = "BodyTooLargeError";
  }
}
