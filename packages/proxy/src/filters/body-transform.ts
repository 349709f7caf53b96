/** Bodies on their way through filters: watched, changed chunk by chunk, or led through a stream of the platform. */
import type { Duplex } from "node:stream";
import type { BodySink, BodySource } from "../http/body.ts";
import type { HeaderList } from "../http/header-list.ts";

/** What is done to the bytes of a body. Each may change what it is given by what it returns. */
export interface BodyTransform {
  /** The bytes to send in the place of a chunk; nothing is sent for an empty one. */
  readonly chunk: (bytes: Uint8Array) => Uint8Array;
  /** Bytes to send after the last, before the trailers. */
  readonly last?: (trailers: HeaderList | undefined) => Uint8Array | undefined;
  /** The trailers to send in the place of those that came. */
  readonly trailers?: (trailers: HeaderList | undefined) => HeaderList | undefined;
  /** The body broke off, or nobody wants the rest. Comes at most once, and never after `last`. */
  readonly broken?: () => void;
}

/** A body whose chunks are changed as they come. `length` is that of what results, where it is known. */
export function transformBody(source: BodySource, transform: BodyTransform, length?: number): BodySource {
  let isOver = false;
  const end = (): void => {
    if (isOver) return;
    isOver = true;
    transform.broken?.();
  };
  return {
    length,
    pipe(sink) {
      source.pipe({
        write(chunk) {
          const changed = transform.chunk(chunk);
          return changed.length === 0 || sink.write(changed);
        },
        end(trailers) {
          isOver = true;
          const last = transform.last?.(trailers);
          if (last !== undefined && last.length > 0) sink.write(last);
          sink.end(transform.trailers ? transform.trailers(trailers) : trailers);
        },
        abort(cause) {
          end();
          sink.abort(cause);
        },
      });
    },
    resume: () => source.resume(),
    cancel(cause) {
      end();
      source.cancel(cause);
    },
  };
}

/** A body that is looked at and not changed. */
export function watchBody(
  source: BodySource,
  watch: {
    readonly chunk?: (bytes: Uint8Array) => void;
    readonly end?: (trailers: HeaderList | undefined) => void;
    readonly broken?: () => void;
  },
): BodySource {
  const { broken } = watch;
  return transformBody(
    source,
    {
      chunk(bytes) {
        watch.chunk?.(bytes);
        return bytes;
      },
      last(trailers) {
        watch.end?.(trailers);
        return undefined;
      },
      ...(broken ? { broken } : {}),
    },
    source.length,
  );
}

/**
 * A body led through a stream, such as one of node:zlib. Back-pressure goes both ways; a failure of the stream aborts the
 * body and cancels the source. The stream is destroyed with the body.
 */
export function throughStream(source: BodySource, stream: Duplex): BodySource {
  let trailers: HeaderList | undefined;
  let isOver = false;
  const fail = (sink: BodySink, cause: Error): void => {
    if (isOver) return;
    isOver = true;
    source.cancel(cause);
    stream.destroy();
    sink.abort(cause);
  };
  return {
    pipe(sink) {
      stream.on("data", (chunk: Uint8Array) => {
        if (!isOver && !sink.write(chunk)) stream.pause();
      });
      stream.on("drain", () => source.resume());
      stream.once("error", (cause: Error) => fail(sink, cause));
      stream.once("end", () => {
        if (isOver) return;
        isOver = true;
        sink.end(trailers);
      });
      source.pipe({
        write: (chunk) => stream.write(chunk),
        end(last) {
          trailers = last;
          stream.end();
        },
        abort(cause) {
          if (isOver) return;
          isOver = true;
          stream.destroy();
          sink.abort(cause);
        },
      });
    },
    resume: () => stream.resume(),
    cancel(cause) {
      isOver = true;
      stream.destroy();
      source.cancel(cause);
    },
  };
}
