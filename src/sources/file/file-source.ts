/**
 * Objects from a directory of YAML and JSON files, watched. What may be half-written is never taken for what the user
 * wants: a change counts once the file stood still for a moment, and a file that cannot be read keeps its last good
 * objects.
 */
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import type { MeshObject } from "../../api/kinds.ts";
import type { Clock, Timer } from "../../lib/clock.ts";
import type { Log } from "../../lib/log.ts";
import type { Message } from "../../lib/message.ts";
import { type Content, describeDuplicate, emptyContent, fileRef, keepLastGood, parseContent } from "../content.ts";
import { createPublisher, type Publisher } from "../publisher.ts";
import type { Source, SourceSink } from "../source.ts";
import { describeFailure, type FoundFile, findEntry, isMissing, type Scan, scanDirectory } from "./scan.ts";
import { TreeWatcher } from "./tree-watcher.ts";

export interface FileSourceOptions {
  /** The directory, as the user named it. */
  readonly directory: string;
  readonly clock: Clock;
  readonly log: Log;
  /** False reads the directory once. */
  readonly watch: boolean;
  /** Longest file in bytes; 16 MiB where not given. */
  readonly maxFileBytes?: number;
  /** How long files must stand still before a change counts; 40 ms where not given. */
  readonly settleMs?: number;
  /** How often the tree is looked at without an event, because events get lost; 2 s where not given. */
  readonly rescanMs?: number;
}

const defaultMaxFileBytes = 16 * 1024 * 1024;
/** A file that is written without end must not hold up the changes of all others. */
const maxSettleRounds = 12;

/** Creates a source of the objects in a directory tree. start() rejects where the directory does not exist. */
export function createFileSource(options: FileSourceOptions): Source {
  return new FileSource(options);
}

/** What is known of one file. */
interface KnownFile {
  readonly signature: string;
  readonly content: Content;
}

class FileSource implements Source {
  readonly name: string;
  readonly #options: FileSourceOptions;
  readonly #log: Log;
  #files: ReadonlyMap<string, KnownFile> = new Map();
  #failures: ReadonlyMap<string, string> = new Map();
  #publisher: Publisher | undefined;
  #rescan: Timer | undefined;
  readonly #watcher: TreeWatcher;
  #running: Promise<void> | undefined;
  #again = false;
  #stopped = false;

  constructor(options: FileSourceOptions) {
    this.name = `file ${options.directory}`;
    this.#options = options;
    this.#log = options.log.child({ component: "source", source: this.name });
    this.#watcher = new TreeWatcher({
      root: options.directory,
      onEvent: () => this.#look(),
      onFailure: (path, cause) =>
        this.#log.warn("a directory cannot be watched, changes are found by looking", {
          path,
          error: describeFailure(cause),
        }),
    });
  }

  async start(sink: SourceSink): Promise<void> {
    const { directory } = this.#options;
    if (!(await stat(directory)).isDirectory()) throw new Error(`${directory} is not a directory`);
    this.#publisher = createPublisher(sink);
    await this.#run(() => this.#takeFirst());
    if (this.#stopped || !this.#options.watch) return;
    this.#rescan = this.#options.clock.every(this.#options.rescanMs ?? 2000, () => this.#look());
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#rescan?.close();
    this.#watcher.close();
    this.#publisher = undefined;
    await this.#running;
  }

  /** Looks at the tree now; while a look is under way, once more after it. */
  #look(): void {
    if (this.#stopped) return;
    if (this.#running !== undefined) {
      this.#again = true;
      return;
    }
    this.#run(() => this.#lookUntilQuiet()).catch((cause: unknown) => {
      this.#log.error("looking at the directory failed", { error: describeFailure(cause) });
    });
  }

  /** One run at a time, so that files are never taken in out of order. */
  async #run(step: () => Promise<void>): Promise<void> {
    const running = step();
    this.#running = running.catch(() => undefined);
    try {
      await running;
    } finally {
      this.#running = undefined;
      const again = this.#again;
      this.#again = false;
      if (again) this.#look();
    }
  }

  /** Takes in what is there at the start. */
  async #takeFirst(): Promise<void> {
    // Watch first, look then: a change in between gives an event that is looked at again.
    this.#watch(await scanDirectory(this.#options.directory));
    const scan = await scanDirectory(this.#options.directory);
    await this.#take(scan, new Set());
    // A write in the same tick of the file system's clock as our reading leaves no trace in the signature: what is that
    // young is read once more.
    const young = this.#options.clock.now() - 1000;
    const isYoung = (path: string) => (scan.files.get(path)?.modifiedMs ?? 0) > young;
    this.#files = new Map(
      [...this.#files].map(([path, known]) => [path, isYoung(path) ? { ...known, signature: "" } : known]),
    );
    this.#again = this.#options.watch;
  }

  async #lookUntilQuiet(): Promise<void> {
    let scan = await scanDirectory(this.#options.directory);
    let restless: ReadonlySet<string> = new Set();
    for (let round = 0; round < maxSettleRounds && !this.#stopped && this.#differs(scan); round++) {
      await this.#wait(this.#options.settleMs ?? 40);
      restless = new Set();
      if (await this.#isStill(scan)) break;
      const next = await scanDirectory(this.#options.directory);
      restless = listDifferences(scan, next);
      scan = next;
      if (restless.size === 0) break;
    }
    if (this.#stopped) return;
    this.#watch(scan);
    // The rest does not wait any longer for a file that is written without end.
    if (restless.size > 0) this.#again = true;
    await this.#take(scan, restless);
  }

  /** Whether a scan shows anything that was not taken in yet. */
  #differs(scan: Scan): boolean {
    return describeFailures(scan.failures) !== describeFailures(this.#failures) || this.#listChanged(scan).length > 0;
  }

  /** Paths of files that are not as they were taken in: changed, new or gone. */
  #listChanged(scan: Scan): readonly string[] {
    const paths = new Set([...scan.files.keys(), ...this.#files.keys()]);
    return [...paths].filter((path) => this.#files.get(path)?.signature !== scan.files.get(path)?.signature);
  }

  /** Whether the files that changed are still as the scan saw them: cheaper than another look at the whole tree. */
  async #isStill(scan: Scan): Promise<boolean> {
    if (scan.failures.size > 0) return false;
    const { directory } = this.#options;
    try {
      const looked = await Promise.all(
        this.#listChanged(scan).map(async (path) => {
          const found = await findEntry(directory, path);
          return (typeof found === "object" ? found.signature : undefined) === scan.files.get(path)?.signature;
        }),
      );
      return looked.every((isSame) => isSame);
    } catch {
      // What cannot be looked at shows in the next look at the tree.
      return false;
    }
  }

  /** Reads what changed and publishes the whole; `restless` files stay as they were. */
  async #take(scan: Scan, restless: ReadonlySet<string>): Promise<void> {
    const next = new Map<string, KnownFile>();
    const failures = new Map(scan.failures);
    for (const file of scan.files.values()) {
      const known = this.#files.get(file.path);
      const isSame = known?.signature === file.signature || restless.has(file.path);
      const taken = isSame ? known : await this.#read(file, known, failures);
      if (taken !== undefined) next.set(file.path, taken);
    }
    // What cannot be looked at now keeps what it had; what is gone is gone.
    for (const [path, known] of this.#files) {
      if (!next.has(path) && (restless.has(path) || isBelowFailure(path, scan.failures))) next.set(path, known);
    }
    this.#files = new Map([...next].sort(([a], [b]) => (a < b ? -1 : 1)));
    this.#failures = scan.failures;
    const { objects, problems } = this.#merge(failures);
    this.#publisher?.publish(objects, problems);
  }

  /** Reads one file; undefined where it is gone by now. */
  async #read(
    file: FoundFile,
    known: KnownFile | undefined,
    failures: Map<string, string>,
  ): Promise<KnownFile | undefined> {
    const before = known?.content ?? emptyContent;
    const limit = this.#options.maxFileBytes ?? defaultMaxFileBytes;
    const shown = join(this.#options.directory, file.path);
    const fail = (text: string): KnownFile => {
      const problem: Message = { level: "error", code: "file", object: fileRef(shown), path: "", text };
      return { signature: file.signature, content: { ...before, messages: [problem] } };
    };
    if (file.size > limit) return fail(`is longer than ${limit} bytes and is not read`);
    try {
      const bytes = await readFile(shown);
      return { signature: file.signature, content: keepLastGood(before, parseContent(bytes.toString("utf8"), shown)) };
    } catch (cause: unknown) {
      if (isMissing(cause)) return undefined;
      // An unreadable file may become readable without a new signature: look again each time.
      failures.set(file.path, describeFailure(cause));
      return { signature: "", content: { ...before, messages: [] } };
    }
  }

  #merge(failures: ReadonlyMap<string, string>): {
    objects: ReadonlyMap<string, MeshObject>;
    problems: readonly Message[];
  } {
    const objects = new Map<string, MeshObject>();
    const problems: Message[] = [];
    for (const { content } of this.#files.values()) {
      problems.push(...content.messages);
      for (const [key, object] of content.objects) {
        const first = objects.get(key);
        if (first === undefined) objects.set(key, object);
        else problems.push(describeDuplicate(object, first));
      }
    }
    for (const [path, reason] of failures) {
      const shown = path === "" ? this.#options.directory : join(this.#options.directory, path);
      const text = `cannot be read, its last content stays: ${reason}`;
      problems.push({ level: "error", code: "file", object: fileRef(shown), path: "", text });
    }
    return { objects, problems };
  }

  /** Watches the directories that stand there now; a handle is of no use once another directory took the place. */
  #watch(scan: Scan): void {
    if (this.#options.watch && !this.#stopped) this.#watcher.update(scan.directories);
  }

  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#options.clock.after(ms, resolve));
  }
}

function describeFailures(failures: ReadonlyMap<string, string>): string {
  return JSON.stringify([...failures]);
}

/** Paths of files that differ between two looks: changed, new or gone. */
function listDifferences(before: Scan, after: Scan): ReadonlySet<string> {
  const paths = new Set([...before.files.keys(), ...after.files.keys()]);
  return new Set([...paths].filter((path) => before.files.get(path)?.signature !== after.files.get(path)?.signature));
}

function isBelowFailure(path: string, failures: ReadonlyMap<string, string>): boolean {
  return [...failures.keys()].some((failed) => failed === "" || path === failed || path.startsWith(`${failed}/`));
}
