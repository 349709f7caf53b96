/** Deliberate breaks of security checks: what is changed where, and which tests must notice. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";

/** One check, broken. */
export interface Mutation {
  /** Number of the check, such as "CA-7"; titles of its tests begin with it and a space. */
  readonly id: string;
  /** The file that holds the check, relative to the top. */
  readonly file: string;
  /** Text that occurs once in that file. */
  readonly find: string;
  /** What stands there in the broken build: still valid TypeScript. */
  readonly replace: string;
  /** The file with the tests, relative to the top. */
  readonly tests: string;
}

const fields = ["id", "file", "find", "replace", "tests"] as const;

/** Reads every list below `root`/test/security/mutations. Throws where an entry lacks a field. */
export function readMutations(root: string): readonly Mutation[] {
  const folder = join(root, "test/security/mutations");
  const files = readdirSync(folder)
    .filter((file) => file.endsWith(".yaml"))
    .sort();
  return files.flatMap((file) => {
    const entries: unknown = parse(readFileSync(join(folder, file), "utf8")) ?? [];
    if (!Array.isArray(entries)) throw new Error(`${file}: is no list`);
    return entries.map((entry, index) => toMutation(entry, `${file}: entry ${index + 1}`));
  });
}

function toMutation(entry: unknown, where: string): Mutation {
  if (typeof entry !== "object" || entry === null) throw new Error(`${where}: is no object`);
  const known = entry as Readonly<Record<string, unknown>>;
  const [missing] = fields.filter((field) => typeof known[field] !== "string");
  if (missing !== undefined) throw new Error(`${where}: ${missing} is missing`);
  return entry as Mutation;
}

/** The file's text with the check broken. Throws where the text to change is not there exactly once. */
export function applyMutation(text: string, { id, file, find, replace }: Mutation): string {
  const count = text.split(find).length - 1;
  if (count !== 1) throw new Error(`${id}: ${file} has the text to change ${count} times, not once: ${find}`);
  return text.replace(find, () => replace);
}
