/**
 * Who is written to next. Streams with something to do wait in line; only so many are being written to at once, so that
 * a storm costs time and not memory. A client that does not read loses its place after a while, so that it holds up
 * nobody, as long as what lies unread in all such streams stays below a limit; and it is cut off in the end.
 */
import type { Clock, Timer } from "../lib/clock.ts";

export interface FanOutOptions {
  readonly clock: Clock;
  /** Calls back after pending input was handled: setImmediate. */
  readonly yieldTurn: (run: () => void) => void;
  /** Streams written to at once. */
  readonly maxWriting: number;
  /** After this many milliseconds without being read a write no longer counts as under way. */
  readonly stallMs: number;
  /** After this many milliseconds a write that is not read ends the stream. */
  readonly sendTimeoutMs: number;
  /** Bytes that may lie unread in stalled streams before they keep their places. */
  readonly maxStalledBytes: number;
  /** Work in milliseconds after which the event loop gets its turn. */
  readonly turnMs: number;
  /** Nothing is waiting and nothing is being written. */
  readonly onIdle: () => void;
}

/** A stream as the line sees it. */
export interface FanOutMember {
  /** Writes at most one response. Returns its size in bytes; 0 where there was nothing to write. */
  writeNext(onWritten: () => void): number;
  /** Waited `waitedMs` in line. */
  noteQueueTime(waitedMs: number): void;
  /** The client does not read. */
  cutOff(): void;
}

interface Writing {
  bytes: number;
  isStalled: boolean;
  stallTimer: Timer | undefined;
  cutTimer: Timer | undefined;
}

export class FanOut {
  readonly #options: FanOutOptions;
  /** In the order of arrival, with the time of it. */
  readonly #waiting = new Map<FanOutMember, number>();
  readonly #writing = new Map<FanOutMember, Writing>();
  /** Members that got something new to do while they were being written to. */
  readonly #again = new Set<FanOutMember>();
  #placesTaken = 0;
  #stalledBytes = 0;
  #isScheduled = false;

  constructor(options: FanOutOptions) {
    this.#options = options;
  }

  /** Puts a stream in line; one that is in line keeps its place. */
  enqueue(member: FanOutMember): void {
    if (this.#writing.has(member)) this.#again.add(member);
    else if (!this.#waiting.has(member)) this.#waiting.set(member, this.#options.clock.monotonic());
    this.#schedule();
  }

  /** The stream is gone. */
  remove(member: FanOutMember): void {
    this.#waiting.delete(member);
    this.#again.delete(member);
    const writing = this.#writing.get(member);
    if (writing !== undefined) this.#finish(member, writing);
    this.#schedule();
  }

  /** Streams in line and streams being written to. */
  count(): { readonly waiting: number; readonly writing: number; readonly stalledBytes: number } {
    return { waiting: this.#waiting.size, writing: this.#writing.size, stalledBytes: this.#stalledBytes };
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#options.yieldTurn(() => {
      this.#isScheduled = false;
      this.#runTurn();
    });
  }

  #runTurn(): void {
    const { clock, maxWriting, turnMs, onIdle } = this.#options;
    const startedAt = clock.monotonic();
    for (const [member, arrivedAt] of this.#waiting) {
      if (this.#placesTaken >= maxWriting) return;
      this.#waiting.delete(member);
      member.noteQueueTime(clock.monotonic() - arrivedAt);
      this.#serve(member);
      if (clock.monotonic() - startedAt >= turnMs && this.#waiting.size > 0) {
        this.#schedule();
        return;
      }
    }
    if (this.#waiting.size === 0 && this.#writing.size === 0) onIdle();
  }

  #serve(member: FanOutMember): void {
    const { clock, stallMs, sendTimeoutMs } = this.#options;
    const writing: Writing = { bytes: 0, isStalled: false, stallTimer: undefined, cutTimer: undefined };
    this.#writing.set(member, writing);
    this.#placesTaken += 1;
    const bytes = member.writeNext(() => {
      if (this.#writing.get(member) === writing) this.#complete(member, writing);
    });
    // Already written, or the stream is gone.
    if (this.#writing.get(member) !== writing) return;
    if (bytes === 0) {
      this.#complete(member, writing, this.#again.has(member));
      return;
    }
    writing.bytes = bytes;
    writing.stallTimer = clock.after(stallMs, () => this.#stall(writing));
    writing.cutTimer = clock.after(sendTimeoutMs, () => member.cutOff());
  }

  /** Written: there may be more to write, so the member goes to the end of the line. */
  #complete(member: FanOutMember, writing: Writing, hasMore = true): void {
    this.#finish(member, writing);
    this.#again.delete(member);
    if (hasMore) this.enqueue(member);
    else this.#schedule();
  }

  #stall(writing: Writing): void {
    const { maxStalledBytes } = this.#options;
    if (this.#stalledBytes + writing.bytes > maxStalledBytes) return;
    writing.isStalled = true;
    this.#stalledBytes += writing.bytes;
    this.#placesTaken -= 1;
    this.#schedule();
  }

  #finish(member: FanOutMember, writing: Writing): void {
    this.#writing.delete(member);
    writing.stallTimer?.close();
    writing.cutTimer?.close();
    if (writing.isStalled) this.#stalledBytes -= writing.bytes;
    else this.#placesTaken -= 1;
  }
}
