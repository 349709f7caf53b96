import { closeSync, openSync, write, writeSync } from "node:fs";
import type { Clock, Timer } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import type { Counter, Gauge, Stats } from "../lib/stats.ts";

export interface LogFileOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** "filesystem." below this. */
  readonly stats: Stats;
  /** As long as lines wait at most; Envoy's --file-flush-interval-msec. */
  readonly flushIntervalMs: number;
  /** As many bytes as wait at most before they are written. */
  readonly flushBytes: number;
}

/** Where a file is written to: a path that is opened (again on reopen), or a descriptor that is there anyway. */
export type LogTarget = { readonly path: string } | { readonly descriptor: number };

/** More than this waits only where the disk does not take it: then lines are dropped and counted, so that memory is bounded. */
const maxWaiting = 16 * 1024 * 1024;
/** A pipe whose reader is slow is asked again after this. */
const retryMs = 10;

/** A file that many loggers append to. Lines are gathered and written together; a failing disk is nobody's trouble but its own. */
export class LogFile {
  readonly #target: LogTarget;
  readonly #options: LogFileOptions;
  readonly #timer: Timer;
  readonly #counts: Readonly<Record<"buffered" | "completed" | "failed" | "byTimer" | "reopenFailed", Counter>>;
  readonly #waitingBytes: Gauge;
  #descriptor: number;
  #lines = "";
  #writing: Buffer | undefined;
  #retry: Timer | undefined;
  #isClosed = false;
  #users = 0;

  /** Throws what the file system says where the file cannot be opened. */
  constructor(target: LogTarget, options: LogFileOptions) {
    const stats = options.stats.scope("filesystem");
    this.#target = target;
    this.#options = options;
    this.#descriptor = open(target);
    this.#counts = {
      buffered: stats.counter("write_buffered"),
      completed: stats.counter("write_completed"),
      failed: stats.counter("write_failed"),
      byTimer: stats.counter("flushed_by_timer"),
      reopenFailed: stats.counter("reopen_failed"),
    };
    this.#waitingBytes = stats.gauge("write_total_buffered");
    this.#timer = options.clock.every(options.flushIntervalMs, () => {
      if (this.#lines !== "") this.#counts.byTimer.inc();
      this.#flush();
    });
  }

  /** One more logger writes to it. */
  retain(): void {
    this.#users++;
  }

  /** True where that was the last one. */
  release(): boolean {
    this.#users--;
    return this.#users === 0;
  }

  append(line: string): void {
    if (this.#isClosed) return;
    if (this.#lines.length > maxWaiting) {
      this.#counts.failed.inc();
      return;
    }
    this.#lines += line;
    this.#counts.buffered.inc();
    this.#waitingBytes.inc(line.length);
    if (this.#lines.length >= this.#options.flushBytes) this.#flush();
  }

  /** Writes what waits into the file as it is, and opens its path anew: it was moved away. */
  reopen(): void {
    this.#flushNow();
    if (!("path" in this.#target)) return;
    try {
      const next = open(this.#target);
      closeSync(this.#descriptor);
      this.#descriptor = next;
    } catch (cause: unknown) {
      this.#counts.reopenFailed.inc();
      this.#options.log.error("an access log cannot be opened anew", { path: this.#target.path, cause: String(cause) });
    }
  }

  close(): void {
    if (this.#isClosed) return;
    this.#flushNow();
    this.#isClosed = true;
    this.#timer.close();
    this.#retry?.close();
    if ("path" in this.#target) closeSync(this.#descriptor);
  }

  #flush(): void {
    if (this.#writing !== undefined || this.#lines === "" || this.#isClosed) return;
    this.#writing = Buffer.from(this.#lines);
    this.#waitingBytes.dec(this.#lines.length);
    this.#lines = "";
    this.#write();
  }

  #write(): void {
    const bytes = this.#writing;
    if (bytes === undefined) return;
    write(this.#descriptor, bytes, (cause, written) => {
      // What was written in the meantime by reopen() or close() is no longer this one's to go on with.
      if (this.#writing !== bytes) return;
      if (cause !== null && cause.code === "EAGAIN") {
        this.#retry = this.#options.clock.after(retryMs, () => this.#write());
        return;
      }
      if (cause === null && written < bytes.length) {
        this.#writing = bytes.subarray(written);
        this.#write();
        return;
      }
      if (cause === null) this.#counts.completed.inc();
      else this.#fail(cause);
      this.#writing = undefined;
      if (this.#lines.length >= this.#options.flushBytes) this.#flush();
    });
  }

  /** Waits for the disk: only at the end and on reopen. A write that is under way in the background is left to end there. */
  #flushNow(): void {
    const lines = this.#lines;
    this.#lines = "";
    if (lines === "") return;
    this.#waitingBytes.dec(lines.length);
    try {
      writeSync(this.#descriptor, lines);
      this.#counts.completed.inc();
    } catch (cause: unknown) {
      this.#fail(cause);
    }
  }

  #fail(cause: unknown): void {
    this.#counts.failed.inc();
    this.#options.log.warn("an access log cannot be written", { cause: String(cause) });
  }
}

function open(target: LogTarget): number {
  return "path" in target ? openSync(target.path, "a", 0o644) : target.descriptor;
}
