/** Random edits of text, as a slip of the keyboard, a bad merge or a half-written file makes them. */
import fc from "fast-check";

export interface TextEdit {
  readonly operation:
    | "delete"
    | "insert"
    | "duplicate"
    | "splice"
    | "deleteLine"
    | "duplicateLine"
    | "spliceLine"
    | "indentLine"
    | "truncate";
  /** Picks the place: a character, or a line for operations on lines. */
  readonly at: number;
  /** Picks the other place, for splices. */
  readonly from: number;
  /** Characters, or columns of indentation. */
  readonly length: number;
  readonly text: string;
}

/** What has a meaning in YAML, and characters that no text should hold. */
const snippets = [
  ":",
  ": ",
  "- ",
  "---\n",
  "\n",
  "\t",
  "{",
  "}",
  "[",
  "]",
  ", ",
  '"',
  "'",
  "#",
  "&a ",
  "*a",
  "<<: *a\n",
  "!!binary ",
  "|",
  "? ",
  "%YAML 1.1\n",
  "\u0000",
  "\ud800",
  "\uFEFF",
  "~",
  ".nan",
  "-.inf",
  "0x10",
  "1e400",
  "-1",
  "99999999999",
  "yes",
  "2001-01-01",
];

export const textEdits: fc.Arbitrary<readonly TextEdit[]> = fc.array(
  fc.record({
    operation: fc.constantFrom(
      "delete",
      "insert",
      "duplicate",
      "splice",
      "deleteLine",
      "duplicateLine",
      "spliceLine",
      "indentLine",
      "truncate",
    ),
    at: fc.nat({ max: 10_000 }),
    from: fc.nat({ max: 10_000 }),
    length: fc.integer({ min: 1, max: 12 }),
    text: fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...snippets) }, fc.string({ maxLength: 6 })),
  }),
  { minLength: 1, maxLength: 4 },
);

/** The text with the edits applied one after the other. */
export function applyTextEdits(text: string, list: readonly TextEdit[]): string {
  return list.reduce(
    (current, edit) => (edit.operation.endsWith("Line") ? editLines : editCharacters)(current, edit),
    text,
  );
}

function editCharacters(text: string, edit: TextEdit): string {
  const at = edit.at % (text.length + 1);
  const [before, after] = [text.slice(0, at), text.slice(at)];
  const from = edit.from % (text.length + 1);
  switch (edit.operation) {
    case "delete":
      return before + after.slice(edit.length);
    case "duplicate":
      return before + after.slice(0, edit.length) + after;
    case "splice":
      return before + text.slice(from, from + edit.length) + after;
    case "truncate":
      return before;
    default:
      return before + edit.text + after;
  }
}

function editLines(text: string, edit: TextEdit): string {
  const lines = text.split("\n");
  const at = edit.at % lines.length;
  const line = lines[at] ?? "";
  switch (edit.operation) {
    case "deleteLine":
      return lines.toSpliced(at, 1).join("\n");
    case "duplicateLine":
      return lines.toSpliced(at, 0, line).join("\n");
    case "spliceLine":
      return lines.toSpliced(at, 0, lines[edit.from % lines.length] ?? "").join("\n");
    default:
      // Odd lengths take columns away.
      return lines
        .with(at, edit.length % 2 === 0 ? " ".repeat(edit.length) + line : line.replace(/^ {1,2}/, ""))
        .join("\n");
  }
}
