import { writeSync } from "node:fs";
import type { Writable } from "node:stream";

/** Where the log goes, as far as this needs it: process.stdout. */
export interface LogStream extends Pick<Writable, "write" | "on" | "destroyed"> {
  /** Of a stream that is a file, a pipe or a terminal. */
  readonly fd?: number;
}

/**
 * Writes whole lines where the log goes. A full disk, or a reader that is gone, must not end the process: lines are lost
 * then, which `complain` is told once for each time that it begins. The first line that can be written again is preceded
 * by the number of those that were lost.
 */
export function createLogOutput(stream: LogStream, complain: (text: string) => void): (line: string) => void {
  let lost = 0;
  const lose = (cause: unknown): void => {
    lost += 1;
    const reason = cause instanceof Error ? cause.message : "an unknown error";
    if (lost === 1) complain(`the log cannot be written, its lines are lost until it can be again: ${reason}`);
  };
  // The write that failed says so itself; without a listener the process would end.
  stream.on("error", () => undefined);
  return (line) => {
    if (!stream.destroyed) {
      stream.write(line, (cause) => {
        if (cause) lose(cause);
      });
      return;
    }
    try {
      // Node gives a stream up after its first error, though the disk may have space again.
      writeSync(stream.fd ?? -1, lost === 0 ? line : `${lost} lines of the log were lost before this one\n${line}`);
      lost = 0;
    } catch (cause: unknown) {
      lose(cause);
    }
  };
}
