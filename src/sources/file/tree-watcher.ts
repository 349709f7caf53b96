import { type FSWatcher, watch } from "node:fs";
import { join } from "node:path";

export interface TreeWatcherOptions {
  readonly root: string;
  /** Something in the tree may have changed. */
  readonly onEvent: () => void;
  /** A directory cannot be watched; changes in it are found by looking. */
  readonly onFailure: (path: string, cause: unknown) => void;
}

interface Watched {
  readonly identity: string;
  readonly watcher: FSWatcher;
}

/**
 * Watches each directory of a tree by itself. Node's recursive watching follows files, and loses one that an editor
 * replaces by renaming a new file over it; a directory tells of everything in it, whichever file stands there now.
 */
export class TreeWatcher {
  readonly #options: TreeWatcherOptions;
  readonly #watched = new Map<string, Watched>();

  constructor(options: TreeWatcherOptions) {
    this.#options = options;
  }

  /** Watches exactly these directories (path below the root to identity); one that was replaced is watched anew. */
  update(directories: ReadonlyMap<string, string>): void {
    for (const [path, { identity }] of this.#watched) if (directories.get(path) !== identity) this.#drop(path);
    for (const [path, identity] of directories) if (!this.#watched.has(path)) this.#add(path, identity);
  }

  close(): void {
    for (const path of [...this.#watched.keys()]) this.#drop(path);
  }

  #add(path: string, identity: string): void {
    const { root, onEvent, onFailure } = this.#options;
    try {
      const watcher = watch(join(root, path), { persistent: false }, onEvent);
      watcher.on("error", (cause) => {
        onFailure(path, cause);
        if (this.#watched.get(path)?.watcher === watcher) this.#drop(path);
        else watcher.close();
      });
      this.#watched.set(path, { identity, watcher });
    } catch (cause: unknown) {
      onFailure(path, cause);
    }
  }

  #drop(path: string): void {
    this.#watched.get(path)?.watcher.close();
    this.#watched.delete(path);
  }
}
