/**
 * One end of an HTTP/2 connection (RFC 9113): frames in and out, streams, windows, settings. It knows nothing of what heads
 * mean. All that is written in one turn of the event loop goes out together.
 */
import type { Duplex } from "node:stream";
import { ContentBatch } from "./content-batch.ts";
import { ConnectionError, errorCodes, protocolError } from "./error-codes.ts";
import { FloodGuard } from "./flood-guard.ts";
import { FrameReader, type FrameSink } from "./frame-reader.ts";
import { clientPreface, type FrameHead, frameFlags, frameTypes, largest31 } from "./frame-types.ts";
import { FrameWriter } from "./frame-writer.ts";
import { checkDependency, type HeaderBlock, HeaderBlocks } from "./header-blocks.ts";
import { ReceiveWindow } from "./receive-window.ts";
import type { SessionClock, SessionEvents, SessionOptions, SessionParts } from "./session-parts.ts";
import { SessionStream, type StreamOwner } from "./session-stream.ts";
import { defaultWindow, formatSettings, parseSettings } from "./settings.ts";
import { StreamTable } from "./stream-table.ts";

/** Bytes that wait for a peer that does not read before nothing is read of it, either. */
const writtenAhead = 1024 * 1024;
const empty = Buffer.alloc(0);

export class Session implements FrameSink, StreamOwner {
  readonly #stream: Duplex;
  readonly #options: SessionOptions;
  readonly #events: SessionEvents;
  readonly #clock: SessionClock;
  readonly #reader: FrameReader;
  readonly #blocks: HeaderBlocks;
  readonly #guard: FloodGuard;
  readonly #streams = new StreamTable<SessionStream>();
  readonly #run = (): void => {
    this.#isScheduled = false;
    this.flush();
  };
  readonly writer: FrameWriter;
  #ready: SessionStream[] = [];
  #isScheduled = false;
  #hasSettings = false;
  #areSettingsTaken = false;
  #peerWindow = defaultWindow;
  sendWindow = defaultWindow;
  waitingBytes = 0;
  readonly #receiveWindow: ReceiveWindow;
  /** The last stream that was opened, by whichever end does. */
  #lastStream: number;
  readonly #isClient: boolean;
  /** Streams above this one come too late. */
  #lastTaken = largest31;
  /** The stream of the DATA frame that is coming; undefined where it is over. */
  #dataStream: SessionStream | undefined;
  /** Bytes of it, without padding, that have come. */
  #dataBytes = 0;
  readonly #content: ContentBatch;
  #isOver = false;
  /** What ended the connection, where this end had to. */
  failure: ConnectionError | undefined;
  #isReading = false;
  /** True where the peer reads so little that nothing is read of it. */
  isReadPaused = false;

  constructor({ stream, options, events, clock }: SessionParts) {
    this.#stream = stream;
    this.#options = options;
    this.#events = events;
    this.#clock = clock;
    this.#isClient = options.role === "client";
    this.#lastStream = this.#isClient ? -1 : 0;
    this.#reader = new FrameReader(this, this.#isClient ? empty : clientPreface);
    this.#blocks = new HeaderBlocks(options.settings.headerTableSize, options);
    this.#guard = new FloodGuard(options);
    this.#content = new ContentBatch(options.handsOnPieces === true);
    this.writer = new FrameWriter(stream, options.batchBytes);
    this.#receiveWindow = new ReceiveWindow(options.connectionWindow);
    if (this.#isClient) this.writer.writePreface(clientPreface);
    this.writer.writeFrame(frameTypes.settings, 0, formatSettings(options.settings));
    const more = options.connectionWindow - defaultWindow;
    if (more > 0) this.writer.writeNumber(frameTypes.windowUpdate, 0, more);
    this.flushSoon();
    stream.on("drain", () => this.#onDrain());
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  get openStreams(): number {
    return this.#streams.size;
  }

  /** True while the head of a new stream goes on in frames that have not come. */
  get isWithinHead(): boolean {
    return this.#reader.continuedStream > this.#lastStream;
  }

  /** Opens the stream whose head goes on, so that it can be answered: what comes of the head is read and thrown away. */
  openLate(): SessionStream {
    this.#lastStream = this.#reader.continuedStream;
    this.#guard.openedStreams += 1;
    const stream = this.#createStream(this.#lastStream);
    this.#streams.add(stream);
    return stream;
  }

  /** Bytes from the peer, of which nothing is kept. */
  feed(chunk: Buffer): void {
    if (this.#isOver) return;
    this.#isReading = true;
    try {
      this.#reader.feed(chunk);
      this.#content.handOn();
      this.#checkOutbound();
    } catch (cause: unknown) {
      if (!(cause instanceof ConnectionError)) throw cause;
      this.#failWith(cause);
    } finally {
      this.#isReading = false;
    }
  }

  /** What came before what is wrong is still handed on, which may be wrong itself. */
  #failWith(error: ConnectionError): void {
    try {
      this.#content.handOn();
    } catch (cause: unknown) {
      if (!(cause instanceof ConnectionError)) throw cause;
    }
    this.fail(error);
  }

  /** Ends the connection with GOAWAY. */
  fail(error: ConnectionError): void {
    if (this.#isOver) return;
    this.failure = error;
    this.writer.writeGoaway(error.code, error.message, this.#isClient ? 0 : this.#lastStream);
    this.#end();
    this.writer.flush();
    this.#events.onFailure(error);
  }

  /** The connection is gone: so are its streams. */
  destroy(): void {
    if (!this.#isOver) this.#end();
  }

  #end(): void {
    this.#isOver = true;
    this.#reader.stop();
    this.#ready = [];
    this.#content.drop();
    for (const stream of this.#streams.list()) stream.leave();
  }

  /** A first GOAWAY that takes all streams, so that those on their way are not lost (RFC 9113, section 6.8). */
  announceEnd(): void {
    if (this.#isOver) return;
    this.writer.writeGoaway(errorCodes.none);
    this.flushSoon();
  }

  /** No stream that comes from now on is taken. */
  refuseStreams(): void {
    if (this.#isOver || this.#lastTaken !== largest31) return;
    this.#lastTaken = this.#lastStream;
    this.writer.writeGoaway(errorCodes.none, "", this.#isClient ? 0 : this.#lastStream);
    this.flushSoon();
  }

  /** True where all numbers of streams are used up (RFC 9113, section 5.1.1). */
  get isExhausted(): boolean {
    return this.#lastStream >= largest31 - 2;
  }

  /**
   * Opens a stream, as a client: name, value, name, value …, pseudo headers first; `isEnd` where nothing follows. What the
   * peer allows at a time is for the caller to keep to.
   */
  open(raw: readonly string[], isEnd: boolean): SessionStream {
    this.#lastStream += 2;
    this.#guard.openedStreams += 1;
    const stream = this.#createStream(this.#lastStream);
    this.#streams.add(stream);
    stream.sendHead(raw, isEnd);
    return stream;
  }

  ping(payload: Uint8Array): void {
    if (this.#isOver) return;
    this.writer.writeFrame(frameTypes.ping, 0, payload);
    this.flushSoon();
  }

  // What follows is called by the reader.

  onHead({ type, flags, stream: id, length }: FrameHead): void {
    if (!this.#hasSettings) {
      if (type !== frameTypes.settings || (flags & frameFlags.ack) !== 0) throw protocolError("SETTINGS expected");
      this.#hasSettings = true;
    }
    if (type !== frameTypes.data) return;
    const stream = this.#streams.get(id);
    if (stream === undefined) this.#checkNotIdle(id, "DATA");
    if (!this.#receiveWindow.take(length)) throw new ConnectionError(errorCodes.flowControl, "DATA: too much");
    this.#dataStream = stream;
    this.#dataBytes = 0;
    if (stream === undefined) return;
    if (stream.isRemoteEnded) throw new ConnectionError(errorCodes.streamClosed, "DATA: stream closed");
    if (!stream.receiveWindow.take(length)) this.#resetForError(stream, errorCodes.flowControl);
  }

  #resetForError(stream: SessionStream, code: number): void {
    const { handler } = stream;
    stream.reset(code);
    handler?.onReset(code);
    this.#dataStream = undefined;
  }

  onData(_head: FrameHead, bytes: Buffer): void {
    this.#dataBytes += bytes.length;
    const stream = this.#dataStream;
    if (stream === undefined || stream.isClosed) {
      this.consume(bytes.length);
      return;
    }
    stream.hold(bytes.length);
    this.#content.add(stream, bytes);
  }

  onDataEnd({ flags, length }: FrameHead): void {
    const isEnd = (flags & frameFlags.endStream) !== 0;
    const stream = this.#dataStream;
    this.#dataStream = undefined;
    this.#guard.addContentFrame(this.#dataBytes === 0 && !isEnd);
    // Padding is read by nobody else.
    const padding = length - this.#dataBytes;
    if (padding > 0) {
      stream?.hold(padding);
      if (stream === undefined || stream.isClosed) this.consume(padding);
      else stream.consume(padding);
    }
    if (!isEnd || stream === undefined || stream.isClosed) return;
    this.#content.handOn();
    if (stream.isClosed) return;
    stream.isRemoteEnded = true;
    stream.handler?.onEnd();
    this.#closeEnded(stream);
  }

  onFrame(head: FrameHead, payload: Buffer): void {
    switch (head.type) {
      case frameTypes.headers:
      case frameTypes.continuation:
        this.#onHeaders(head, payload);
        return;
      case frameTypes.windowUpdate:
        this.#onWindowUpdate(head.stream, payload.readUInt32BE(0) & 0x7fffffff);
        return;
      case frameTypes.reset:
        this.#onReset(head.stream, payload.readUInt32BE(0));
        return;
      case frameTypes.settings:
        this.#onSettings(head, payload);
        return;
      case frameTypes.ping:
        this.#onPing(head, payload);
        return;
      case frameTypes.priority:
        this.#guard.addPriority();
        checkDependency(payload.readUInt32BE(0), head.stream);
        return;
      case frameTypes.goaway:
        this.#onGoaway(payload.readUInt32BE(0) & largest31);
        return;
      case frameTypes.pushPromise:
        // Of a client it is wrong by itself, and a server was told that it is not wanted (RFC 9113, section 8.4).
        throw protocolError("PUSH_PROMISE");
      default:
        this.countUseless();
    }
  }

  #onHeaders(head: FrameHead, payload: Buffer): void {
    const isEnd = head.type === frameTypes.headers && (head.flags & frameFlags.endStream) !== 0;
    this.#guard.addContentFrame(payload.length === 0 && !isEnd);
    if (head.type === frameTypes.headers && head.stream % 2 === 0) throw protocolError("HEADERS: invalid stream_id");
    const block = this.#blocks.take(head, payload);
    if (block === undefined) return;
    const stream = this.#streams.get(block.stream);
    if (stream !== undefined) this.#onMoreHeaders(stream, block);
    else if (this.#isClient) this.#checkNotIdle(block.stream, "HEADERS");
    // A stream that was reset here may still get trailers, which are indistinguishable from a head that comes too late.
    else if (block.stream > this.#lastStream) this.#onOpen(block);
  }

  #onOpen(block: HeaderBlock): void {
    this.#lastStream = block.stream;
    if (block.stream > this.#lastTaken) return;
    const stream = this.#createStream(block.stream);
    stream.isRemoteEnded = block.isEnd;
    if (this.#streams.size >= (this.#options.settings.maxConcurrentStreams ?? Number.POSITIVE_INFINITY)) {
      // Before it has heard of the limit, a client cannot keep to it (RFC 9113, section 5.1.2).
      if (this.#areSettingsTaken) throw protocolError("too many concurrent streams");
      this.countUseless();
      this.#events.onStreamRefused?.();
      this.writer.writeNumber(frameTypes.reset, block.stream, errorCodes.refusedStream);
      this.countSentReset();
      this.flushSoon();
      return;
    }
    this.#guard.openedStreams += 1;
    this.#streams.add(stream);
    // A few bytes that unfold into megabytes cost as much as those, although nothing of them is kept.
    if (block.isTooLarge) this.countUseless(Math.ceil(block.bytes / this.#options.maxHeadBytes));
    this.#events.onStream?.(stream, block);
  }

  #createStream(id: number): SessionStream {
    return new SessionStream(id, this, { send: this.#peerWindow, receive: this.#options.settings.initialWindowSize });
  }

  /** Something came that was of no use: whoever does that too often is ended. Throws ConnectionError. */
  countUseless(weight = 1): void {
    this.#guard.addUseless(this.#clock.monotonic(), weight);
  }

  #onMoreHeaders(stream: SessionStream, block: HeaderBlock): void {
    this.#content.handOn();
    if (stream.isRemoteEnded) throw new ConnectionError(errorCodes.streamClosed, "HEADERS: stream closed");
    stream.isRemoteEnded = block.isEnd;
    if (block.isTooLarge) stream.handler?.onOverflow();
    else stream.handler?.onHeaders(block.raw);
    this.#closeEnded(stream);
  }

  #closeEnded(stream: SessionStream): void {
    if (stream.isLocalEnded && stream.isRemoteEnded) stream.close();
  }

  #onReset(id: number, code: number): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) this.#checkNotIdle(id, "RST_STREAM");
    this.#events.onResetFrame("rx_reset");
    this.#content.handOn();
    stream?.leave(code);
  }

  #onGoaway(lastStream: number): void {
    this.#events.onGoaway();
    if (!this.#isClient) return;
    // What the server has not looked at may go elsewhere (RFC 9113, section 6.8).
    for (const stream of this.#streams.list()) if (stream.id > lastStream) stream.leave(errorCodes.refusedStream);
  }

  #checkNotIdle(id: number, name: string): void {
    if (id % 2 === 0 || id > this.#lastStream) throw protocolError(`${name}: stream in idle`);
  }

  #onWindowUpdate(id: number, increment: number): void {
    this.#guard.addWindowUpdate(this.writer.dataFrames);
    if (increment === 0) throw protocolError("WINDOW_UPDATE: window_size_increment == 0");
    if (id === 0) {
      this.sendWindow += increment;
      if (this.sendWindow > largest31) throw new ConnectionError(errorCodes.flowControl, "WINDOW_UPDATE: too large");
      if (this.#ready.length > 0) this.flushSoon();
      return;
    }
    const stream = this.#streams.get(id);
    if (stream === undefined) {
      this.#checkNotIdle(id, "WINDOW_UPDATE");
      return;
    }
    stream.sendWindow += increment;
    // That would cost the stream alone (RFC 9113, section 6.9.1); as with Envoy, nothing more is expected of such a peer.
    if (stream.sendWindow > largest31) throw new ConnectionError(errorCodes.flowControl, "WINDOW_UPDATE: too large");
    this.queue(stream);
  }

  #onSettings({ flags }: FrameHead, payload: Buffer): void {
    if ((flags & frameFlags.ack) !== 0) {
      if (!this.#areSettingsTaken) this.#blocks.onSettingsTaken();
      this.#areSettingsTaken = true;
      return;
    }
    this.countUseless();
    const settings = parseSettings(payload);
    const { headerTableSize, initialWindowSize, maxFrameSize } = settings;
    if (headerTableSize !== undefined) this.writer.setMaxTableBytes(headerTableSize);
    if (maxFrameSize !== undefined) this.writer.maxFrameBytes = maxFrameSize;
    if (initialWindowSize !== undefined) this.#changeWindows(initialWindowSize);
    this.#answer(frameTypes.settings, empty);
    this.#events.onSettings?.(settings);
  }

  /** A new window is for streams that are there, too (RFC 9113, section 6.9.2). */
  #changeWindows(bytes: number): void {
    const change = bytes - this.#peerWindow;
    this.#peerWindow = bytes;
    for (const stream of this.#streams.list()) {
      stream.sendWindow += change;
      if (stream.sendWindow > largest31)
        throw new ConnectionError(errorCodes.flowControl, "SETTINGS: too large window");
      if (change > 0) this.queue(stream);
    }
  }

  #onPing({ flags }: FrameHead, payload: Buffer): void {
    // An answer that nobody waits for is no error.
    if ((flags & frameFlags.ack) !== 0) this.#events.onPingAnswer();
    else this.#answer(frameTypes.ping, payload);
  }

  #answer(type: number, payload: Buffer): void {
    this.writer.writeFrame(type, frameFlags.ack, payload);
    this.flushSoon();
    this.#countControl();
  }

  /** A PING, SETTINGS or RST_STREAM goes out for what has come. */
  #countControl(): void {
    this.writer.waitingControlFrames += 1;
    this.#checkOutbound();
  }

  #checkOutbound(): void {
    this.#guard.checkOutbound(this.writer.waitingFrames, this.writer.waitingControlFrames);
  }

  // What follows is called by streams.

  queue(stream: SessionStream): void {
    if (stream.isQueued || this.#isOver) return;
    stream.isQueued = true;
    this.#ready.push(stream);
    this.flushSoon();
  }

  writeHeads(): void {
    if (this.#isClient) for (const stream of this.#ready) stream.writeHead();
  }

  flushSoon(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    // After the events that wait now, the rest of answers among them.
    setImmediate(this.#run);
  }

  consume(bytes: number): void {
    if (this.#isOver) return;
    const increment = this.#receiveWindow.consume(bytes);
    if (increment === 0) return;
    this.writer.writeNumber(frameTypes.windowUpdate, 0, increment);
    this.flushSoon();
  }

  drop(stream: SessionStream): void {
    if (this.#streams.delete(stream)) this.#events.onClosed();
  }

  countSentReset(): void {
    this.#events.onResetFrame("tx_reset");
    if (this.#isReading) this.#countControl();
  }

  /** Writes what waits, at once. */
  flush(): void {
    const ready = this.#ready;
    if (ready.length > 0 && !this.#isOver) {
      this.writeHeads();
      this.#ready = [];
      for (const stream of ready) {
        stream.isQueued = false;
        stream.emit();
        if (stream.waitsForConnection && !stream.isQueued) {
          stream.isQueued = true;
          this.#ready.push(stream);
        }
      }
    }
    this.writer.flush();
    if (this.#ready.length > 0 && !this.writer.isFull && this.sendWindow > 0) this.flushSoon();
    if (this.#stream.writableLength > writtenAhead) this.#pauseReading();
  }

  #onDrain(): void {
    this.writer.onDrained();
    if (this.isReadPaused) {
      this.isReadPaused = false;
      this.#stream.resume();
    }
    if (this.#ready.length > 0) this.flush();
  }

  #pauseReading(): void {
    if (this.isReadPaused || this.#isOver) return;
    this.isReadPaused = true;
    this.#stream.pause();
  }
}
