/**
 * Small files that somebody else replaces. They are looked at by content, once a second: that sees the swapped links of
 * Kubernetes' volumes, files that come late, and whole directories replaced, without a rule for each.
 */
import { readFileSync, statSync } from "node:fs";
import type { Clock, Timer } from "../../../../src/lib/clock.ts";

export interface WatchOptions {
  readonly paths: readonly string[];
  /** Changed files are handed over when they stayed the same for so long. */
  readonly debounceMs: number;
  readonly clock: Clock;
  /** Gets the texts in the order of `paths`, undefined for files that cannot be read: at once, and after each change. */
  readonly onTexts: (texts: Texts) => void;
}

export type Texts = readonly (string | undefined)[];

const periodMs = 1_000;
/** Nothing that holds certificates is larger. */
const maxBytes = 4 * 1024 * 1024;

/** Reads the files before it returns; the answer ends the watch. */
export function watchFiles(options: WatchOptions): () => void {
  const { paths, debounceMs, clock, onTexts } = options;
  let given = readTexts(paths);
  let seen = given;
  let timer: Timer | undefined;
  let isEnded = false;
  const plan = (delayMs: number): void => {
    if (!isEnded) timer = clock.after(delayMs, look);
  };
  const look = (): void => {
    const next = readTexts(paths);
    if (!isSame(next, seen)) {
      seen = next;
      plan(debounceMs);
      return;
    }
    if (!isSame(seen, given)) {
      given = seen;
      onTexts(given);
    }
    plan(periodMs);
  };
  onTexts(given);
  plan(periodMs);
  return () => {
    isEnded = true;
    timer?.close();
  };
}

function readTexts(paths: readonly string[]): Texts {
  return paths.map(readText);
}

/** The text of a file; undefined where it is missing, is no file, or is far too large. */
export function readText(path: string): string | undefined {
  try {
    const stats = statSync(path);
    return stats.isFile() && stats.size <= maxBytes ? readFileSync(path, "utf8") : undefined;
  } catch {
    // Missing now, perhaps there at the next look.
    return undefined;
  }
}

const isSame = (a: Texts, b: Texts): boolean => a.every((text, index) => text === b[index]);
