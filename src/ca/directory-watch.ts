import { type FSWatcher, watch } from "node:fs";
import type { Clock, Timer } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";

export interface DirectoryWatchOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** Called when something changed and then nothing for a moment. */
  readonly onSettled: () => void;
}

/** Writers take a moment, and a mounted Secret is swapped in several steps (istiod: 100 ms). */
const settleMs = 100;

/**
 * Watches directories rather than files: a renamed file or a swapped link is seen there. A directory that cannot be
 * watched is no error: whoever watches has to look now and then in any case. The answer ends it.
 */
export function watchDirectories(
  directories: Iterable<string>,
  { clock, log, onSettled }: DirectoryWatchOptions,
): () => void {
  let timer: Timer | undefined;
  const onEvent = (): void => {
    timer?.close();
    timer = clock.after(settleMs, onSettled);
  };
  const watchers = [...new Set(directories)].flatMap((directory) => watchOne(directory, onEvent, log));
  return () => {
    timer?.close();
    for (const watcher of watchers) watcher.close();
  };
}

function watchOne(directory: string, onEvent: () => void, log: Log): readonly FSWatcher[] {
  const warn = (error: unknown): void =>
    log.warn("a directory cannot be watched; it is read now and then", { directory, error });
  try {
    const watcher = watch(directory, { persistent: false }, onEvent);
    watcher.on("error", (error) => {
      warn(error);
      watcher.close();
    });
    return [watcher];
  } catch (error: unknown) {
    // A directory that may come later is nothing to warn of.
    if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) warn(error);
    return [];
  }
}
