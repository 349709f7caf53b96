/** Looks at a directory tree: which files are there, and how one sees that they changed. */
import { readdir, realpath, stat } from "node:fs/promises";
import { extname, join } from "node:path";

export interface FoundFile {
  /** Path below the root with "/" between its parts: the order of files, and their names in messages. */
  readonly path: string;
  readonly size: number;
  /** Equal as long as the file was neither written, replaced nor swapped. */
  readonly signature: string;
  readonly modifiedMs: number;
}

export interface Scan {
  /** By path, in order. */
  readonly files: ReadonlyMap<string, FoundFile>;
  /** Directories ("" is the root) and files that could not be looked at, with the reason. */
  readonly failures: ReadonlyMap<string, string>;
  /**
   * Directories of the tree ("" is the root) with their identity, which changes when another directory takes the place.
   * Empty where the root is gone.
   */
  readonly directories: ReadonlyMap<string, string>;
}

const extensions: ReadonlySet<string> = new Set([".yaml", ".yml", ".json"]);
const maxDepth = 32;

/**
 * Lists .yaml, .yml and .json files of a tree. Symbolic links are followed, each directory once. Names that start with a
 * dot are passed over: hidden files, and the "..data" directories that Kubernetes swaps under a mounted ConfigMap (the
 * links to their files are what counts).
 */
export async function scanDirectory(root: string): Promise<Scan> {
  const files: FoundFile[] = [];
  const failures = new Map<string, string>();
  const visited = new Set<string>();
  const directories = new Map<string, string>();
  const visit = async (path: string, depth: number): Promise<void> => {
    const absolute = join(root, path);
    try {
      const real = await realpath(absolute);
      if (visited.has(real) || depth > maxDepth) return;
      visited.add(real);
      // Before its content is listed, so that a directory that is swapped later shows another identity.
      directories.set(path, await identify(absolute));
      const names = (await readdir(absolute)).filter((name) => !name.startsWith(".")).sort();
      const looked = await Promise.all(names.map((name) => look(path === "" ? name : `${path}/${name}`)));
      // One after the other and in order: which of two paths to a directory counts must not be left to chance.
      for (const below of looked) if (below !== undefined) await visit(below, depth + 1);
    } catch (cause: unknown) {
      failures.set(path, describeFailure(cause));
    }
  };
  /** Notes a file; gives the path of a directory. */
  const look = async (path: string): Promise<string | undefined> => {
    try {
      const found = await findEntry(root, path);
      if (found === "directory") return path;
      if (found !== undefined) files.push(found);
    } catch (cause: unknown) {
      failures.set(path, describeFailure(cause));
    }
    return undefined;
  };
  await visit("", 0);
  const ordered = files.sort((a, b) => (a.path < b.path ? -1 : 1));
  const failed = [...failures].sort(([a], [b]) => (a < b ? -1 : 1));
  return { files: new Map(ordered.map((file) => [file.path, file])), failures: new Map(failed), directories };
}

/** Looks at one path: a file that is read, a directory, or undefined where there is nothing to read. */
export async function findEntry(root: string, path: string): Promise<FoundFile | "directory" | undefined> {
  try {
    const found = await stat(join(root, path), { bigint: true });
    if (found.isDirectory()) return "directory";
    if (!found.isFile() || !extensions.has(extname(path).toLowerCase())) return undefined;
    const signature = `${found.dev}:${found.ino}:${found.size}:${found.mtimeNs}:${found.ctimeNs}`;
    return { path, size: Number(found.size), signature, modifiedMs: Number(found.mtimeMs) };
  } catch (cause: unknown) {
    // Gone between the listing and the look, or a link to nothing: it is not there.
    if (isMissing(cause)) return undefined;
    throw cause;
  }
}

/** True where the error says that a file or directory does not exist. */
export function isMissing(cause: unknown): boolean {
  return cause instanceof Error && "code" in cause && (cause.code === "ENOENT" || cause.code === "ENOTDIR");
}

/** The system's code and words for an error, without the paths of the machine. */
export function describeFailure(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  return cause.message.replace(/, \w+ '.*$/s, "");
}

async function identify(directory: string): Promise<string> {
  const { dev, ino } = await stat(directory, { bigint: true });
  return `${dev}:${ino}`;
}
