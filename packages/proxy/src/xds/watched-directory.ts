/** Calls back when something in a directory moves or changes; projected volumes replace a link in it. */
import { type FSWatcher, watch } from "node:fs";
import type { Log } from "../lib/log.ts";

/** Watches until the result is called. A directory that cannot be watched is logged: its files then stay as they are. */
export function watchDirectory(path: string, log: Log, onChange: () => void): () => void {
  let watcher: FSWatcher | undefined;
  let isClosed = false;
  let isDue = false;
  const changed = (): void => {
    if (isDue || isClosed) return;
    isDue = true;
    // A replacement is several events at once.
    setImmediate(() => {
      isDue = false;
      if (!isClosed) onChange();
    });
  };
  try {
    watcher = watch(path, { persistent: false }, changed);
    watcher.on("error", (cause) => log.warn("A directory cannot be watched", { path, cause }));
  } catch (cause: unknown) {
    log.warn("A directory cannot be watched", { path, cause });
  }
  return () => {
    isClosed = true;
    watcher?.close();
  };
}
