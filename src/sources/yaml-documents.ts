/** Splits YAML (or JSON) text into its documents, each with the place of every field. Bad documents stop no others. */
import { type Document, isMap, isScalar, isSeq, LineCounter, parseAllDocuments } from "yaml";
import type { Path } from "../api/findings.ts";
import type { Position } from "../lib/message.ts";

export type YamlDocument =
  | { readonly type: "value"; readonly value: unknown; readonly positionOf: (path: Path) => Position }
  | { readonly type: "error"; readonly text: string; readonly position: Position };

/** Aliases may multiply content: more than this many resolved nodes is an attack (a "billion laughs"). */
const maxAliasCount = 1000;

/**
 * Parses all documents of a text; empty ones are left out. `file` names the text in positions. Never throws: what is not
 * YAML becomes an error with its line and column.
 */
export function parseYamlDocuments(text: string, file: string): readonly YamlDocument[] {
  const clean = text.startsWith("\uFEFF") ? text.slice(1) : text;
  return splitDocuments(clean).flatMap((chunk) => parseChunk(chunk, file));
}

interface Chunk {
  readonly text: string;
  /** Lines of the file before the chunk. */
  readonly lines: number;
}

/**
 * Cuts before each line that starts with "---": a marker that ends a document wherever it stands, so an unclosed bracket
 * in one document cannot swallow the next.
 */
function splitDocuments(text: string): readonly Chunk[] {
  const chunks: Chunk[] = [];
  let lines = 0;
  for (const part of text.split(/^(?=---(?:[ \t\r\n]|$))/m)) {
    if (part.trim() !== "") chunks.push({ text: part, lines });
    lines += part.split("\n").length - 1;
  }
  return chunks;
}

function parseChunk(chunk: Chunk, file: string): readonly YamlDocument[] {
  const counter = new LineCounter();
  // An error at the very end (a bracket that is never closed) belongs to the last line with text, not to the next document.
  const last = Math.max(0, chunk.text.trimEnd().length - 1);
  const place = (offset: number): Position => {
    const { line, col } = counter.linePos(Math.min(offset, last));
    return { file, line: Math.max(1, line) + chunk.lines, column: Math.max(1, col) };
  };
  try {
    const documents = parseAllDocuments(chunk.text, {
      lineCounter: counter,
      merge: true,
      prettyErrors: false,
      logLevel: "silent",
    });
    return [...documents].flatMap((document) => readDocument(document as Document.Parsed, place));
  } catch (cause: unknown) {
    // Nesting that overflows the parser's stack ends here.
    return [{ type: "error", text: `cannot be read as YAML: ${describe(cause)}`, position: place(0) }];
  }
}

function readDocument(document: Document.Parsed, place: (offset: number) => Position): readonly YamlDocument[] {
  const [error] = document.errors;
  if (error !== undefined) {
    return [{ type: "error", text: `is not valid YAML: ${firstLine(error.message)}`, position: place(error.pos[0]) }];
  }
  const root = document.contents;
  if (root === null || (isScalar(root) && root.value === null)) return [];
  const start = place(root.range[0]);
  try {
    const value: unknown = document.toJS({ maxAliasCount });
    if (isCircular(value, new Set(), new Set())) {
      return [{ type: "error", text: "holds an alias of a value within itself", position: start }];
    }
    return [{ type: "value", value, positionOf: (path) => findPosition(root, path, { start, place }) }];
  } catch (cause: unknown) {
    return [{ type: "error", text: `cannot be read as YAML: ${describe(cause)}`, position: start }];
  }
}

/** Whether a value holds itself, by an alias; nothing that walks over it would come to an end. */
function isCircular(value: unknown, above: Set<unknown>, done: Set<unknown>): boolean {
  if (typeof value !== "object" || value === null || done.has(value)) return false;
  if (above.has(value)) return true;
  above.add(value);
  const found = Object.values(value).some((item) => isCircular(item, above, done));
  above.delete(value);
  done.add(value);
  return found;
}

/** The place of a field: its name in an object, its first character in a list, or the nearest that exists. */
function findPosition(
  root: unknown,
  path: Path,
  known: { readonly start: Position; readonly place: (offset: number) => Position },
): Position {
  let node = root;
  let offset: number | undefined;
  for (const step of path) {
    if (isMap(node)) {
      const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === String(step));
      if (pair === undefined) break;
      if (isScalar(pair.key)) offset = pair.key.range?.[0] ?? offset;
      node = pair.value;
    } else if (isSeq(node) && typeof step === "number") {
      const item = node.items[step];
      offset = rangeStart(item) ?? offset;
      node = item;
    } else break;
  }
  return offset === undefined ? known.start : known.place(offset);
}

function rangeStart(node: unknown): number | undefined {
  return isMap(node) || isSeq(node) || isScalar(node) ? node.range?.[0] : undefined;
}

const firstLine = (text: string): string => text.split("\n")[0] ?? "";
const describe = (cause: unknown): string => firstLine(cause instanceof Error ? cause.message : String(cause));
