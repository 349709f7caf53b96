/**
 * An HTTP/1 connection of a client. Requests are read one after the other; the next one waits until the answer to the one
 * before it is written, so that answers keep their order. Bytes that wait are bounded: beyond that the socket is paused.
 */
import type { Duplex } from "node:stream";
import { freeBytes } from "@meltemi/http2/free-bytes";
import type { Clock, Timer } from "../../lib/clock.ts";
import { ReadTurns } from "../../lib/read-turns.ts";
import type { DownstreamConnection } from "../../listeners/connection.ts";
import { clientClosed } from "../client-gone.ts";
import type { CodecConnection, RequestReceiver } from "../codec-stream.ts";
import type { LocalReply } from "../exchange.ts";
import { HeadScanner } from "./head-scanner.ts";
import { codecError, type Http1Options, headTooLarge } from "./options.ts";
import { parseHead } from "./parse-head.ts";
import { Http1Stream } from "./server-stream.ts";

/** Bytes of later requests that are read while one is under way. */
const aheadLimit = 65_536;
/** Bytes that are read of a client that was told that its connection ends: enough for what it had sent by then. */
const discardLimit = 1024 * 1024;

export interface Http1ConnectionOptions {
  readonly connection: DownstreamConnection;
  readonly options: Http1Options;
  readonly receiver: RequestReceiver;
  readonly clock: Clock;
}

/** What goes around bytes of a body. */
export interface BodyFrame {
  readonly head: string;
  readonly tail: Buffer | undefined;
  readonly onWritten: (() => void) | undefined;
}

export class Http1Connection implements CodecConnection {
  readonly connection: DownstreamConnection;
  readonly options: Http1Options;
  readonly #receiver: RequestReceiver;
  readonly #clock: Clock;
  readonly #stream: Duplex;
  readonly #scanner: HeadScanner;
  readonly #turns: ReadTurns;
  #current: Http1Stream | undefined;
  /** Bytes of requests that come after the current one. */
  #ahead: Buffer | undefined;
  #isBusy = false;
  #isClosing = false;
  #hasEnded = false;
  #isPaused = false;
  #isWriteBlocked = false;
  #discardedBytes = 0;
  #lingering: Timer | undefined;
  headStartedAt: number | undefined;

  constructor({ connection, options, receiver, clock }: Http1ConnectionOptions) {
    this.connection = connection;
    this.options = options;
    this.#receiver = receiver;
    this.#clock = clock;
    this.#stream = connection.stream;
    this.#scanner = new HeadScanner(options.maxHeadBytes);
    this.#turns = new ReadTurns(this.#stream, { hasReader: false, mayGoOn: () => !this.#isPaused });
    this.#stream.on("data", (chunk: Buffer) => this.#onData(chunk));
    this.#stream.on("end", () => this.#onEnd());
    this.#stream.on("drain", () => this.#onDrain());
    this.#stream.on("error", (cause: Error) => this.#onGone(cause));
    connection.onClose(() => this.#onGone(clientClosed()));
  }

  startDrain(): void {
    // A client that is idle may be about to ask: it is told with its next answer.
  }

  finishDrain(): void {
    if (this.#current === undefined && !this.#scanner.hasBegun && !this.#isClosing) this.#close("");
  }

  refuseLateHead(reply: LocalReply): void {
    if (this.#current === undefined && !this.#isClosing) this.#refuse(reply);
  }

  #onData(chunk: Buffer): void {
    // Its memory may be given back meanwhile.
    const { length } = chunk;
    this.feed(chunk);
    if (!this.#isPaused) this.#turns.count(length);
  }

  /** Bytes from the client. */
  feed(chunk: Buffer): void {
    if (this.#isClosing) {
      this.#discard(chunk);
      return;
    }
    if (this.#isBusy) {
      this.#keepAhead(chunk);
      return;
    }
    this.#isBusy = true;
    let rest: Buffer | undefined = chunk;
    while (rest !== undefined && rest.length > 0 && !this.#isClosing) {
      const from: number = this.#current === undefined ? this.#feedHead(rest) : this.#feedBody(this.#current, rest);
      rest = from < rest.length ? rest.subarray(from) : this.#takeAhead();
      if (rest !== undefined && this.#mustWait()) {
        this.#keepAhead(rest);
        break;
      }
    }
    this.#isBusy = false;
  }

  /** The current request has come, its answer has not gone: what follows waits. */
  #mustWait(): boolean {
    return this.#current?.isRequestComplete === true;
  }

  #feedHead(chunk: Buffer): number {
    const found = this.#scanner.feed(chunk);
    if (found.kind === "more") {
      this.headStartedAt ??= this.#clock.monotonic();
      return chunk.length;
    }
    if (found.kind === "bad") {
      this.#refuse(found.isTooLarge ? headTooLarge : codecError);
      this.#scanner.discard();
      freeBytes(chunk);
      return chunk.length;
    }
    this.headStartedAt = undefined;
    const head = parseHead(found.text, this.options);
    if ("status" in head) {
      this.#refuse(head);
      return chunk.length;
    }
    const stream = new Http1Stream(this, head);
    this.#current = stream;
    stream.begin(this.#receiver);
    return found.end;
  }

  #feedBody(stream: Http1Stream, chunk: Buffer): number {
    const end = stream.feed(chunk);
    if (end >= 0) return end;
    this.#isClosing = true;
    stream.refuse(codecError);
    return chunk.length;
  }

  #refuse(reply: LocalReply): void {
    this.headStartedAt = undefined;
    this.#isClosing = true;
    const stream = new Http1Stream(this, undefined);
    this.#current = stream;
    stream.beginMalformed(this.#receiver, reply);
  }

  /** Whoever goes on sending has to wait for the end: reading all of it would be work for nothing. */
  #discard(chunk: Buffer): void {
    this.#discardedBytes += chunk.length;
    freeBytes(chunk);
    if (this.#discardedBytes >= discardLimit) this.pause();
  }

  #keepAhead(chunk: Buffer): void {
    if (this.#isClosing) return;
    this.#ahead = this.#ahead === undefined ? chunk : Buffer.concat([this.#ahead, chunk]);
    if (this.#ahead.length >= aheadLimit) this.pause();
  }

  #takeAhead(): Buffer | undefined {
    const ahead = this.#ahead;
    this.#ahead = undefined;
    return ahead;
  }

  /** The answer of the current request is written. */
  finish(stream: Http1Stream, isLast: boolean): void {
    if (this.#current !== stream) return;
    this.#current = undefined;
    if (isLast || this.#isClosing) {
      this.#close("");
      return;
    }
    this.headStartedAt = undefined;
    this.resume();
    if (this.#isBusy) return;
    const ahead = this.#takeAhead();
    if (ahead !== undefined) this.feed(ahead);
  }

  /** Writes; false where the client has to read first. `onWritten` is called when the bytes are not needed any more. */
  write(bytes: Buffer, onWritten?: () => void): boolean {
    if (this.#stream.destroyed || this.#stream.writableEnded) return true;
    if (this.#stream.write(bytes, onWritten)) return true;
    this.#isWriteBlocked = true;
    return false;
  }

  get isWriteBlocked(): boolean {
    return this.#isWriteBlocked;
  }

  /** Writes bytes of a body with what goes before and behind them, in one piece and without a copy of them. */
  writeBody(bytes: Buffer, { head, tail, onWritten }: BodyFrame): boolean {
    if (head === "" && tail === undefined) return this.write(bytes, onWritten);
    this.#stream.cork();
    if (head !== "") this.write(Buffer.from(head, "latin1"));
    let takesMore = this.write(bytes, onWritten);
    if (tail !== undefined) takesMore = this.write(tail);
    this.#stream.uncork();
    return takesMore;
  }

  pause(): void {
    if (this.#isPaused) return;
    this.#isPaused = true;
    this.#stream.pause();
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#stream.resume();
  }

  /** Cuts the connection. */
  reset(details: string): void {
    this.#isClosing = true;
    this.#receiver.onClosing();
    this.#current = undefined;
    this.#lingering?.close();
    this.connection.close("reset", details);
  }

  /**
   * Lets go out what was written, and gives the client time to read it: a connection that is cut while bytes of the
   * client are unread loses the answer, too.
   */
  #close(details: string): void {
    this.#isClosing = true;
    this.#receiver.onClosing();
    this.#ahead = undefined;
    this.resume();
    const { delayedCloseMs } = this.options;
    if (delayedCloseMs === 0 || this.#hasEnded || this.#stream.destroyed) {
      this.connection.close("flush", details);
      return;
    }
    this.#stream.end();
    this.#lingering = this.#clock.after(delayedCloseMs, () => {
      this.#receiver.onDelayedClose();
      this.connection.close("reset", details);
    });
  }

  #onDrain(): void {
    this.#isWriteBlocked = false;
    this.#current?.onDrain();
  }

  /** The client has said all it will. Without an upgrade that is taken for its going away, as Envoy does. */
  #onEnd(): void {
    this.#hasEnded = true;
    if (this.#isClosing) {
      // An answer that is on its way still goes out.
      if (this.#current === undefined) this.connection.close("flush");
      return;
    }
    if (this.#current?.endRaw() === true) return;
    this.#onGone(clientClosed());
    this.connection.close("flush", "");
  }

  #onGone(cause: Error): void {
    this.#lingering?.close();
    this.#isClosing = true;
    this.#ahead = undefined;
    const stream = this.#current;
    this.#current = undefined;
    stream?.leave(cause);
  }
}
