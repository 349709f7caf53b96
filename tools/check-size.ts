/**
 * Checks that no source file grows past what one can read in a sitting: 500 lines. Generated folders are not sources. The
 * translation, the largest part, has a budget of its own: typical and large files and functions must stay small, so that
 * it does not grow into a few big ones below the limits.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import ts from "typescript";

const mostLines = 500;

/** Lines in the middle, and at the end of nine tenths; `most` is the limit of a single one. */
interface Budget {
  readonly median: number;
  readonly p90: number;
  readonly most: number;
}

// Median and limit are those of the design (files of about 100 lines, functions of 15, 500 and 80 at most). The bounds of
// p90 are what the translation had when they were set (files 184, functions 18), rounded up.
const budgets = {
  files: { median: 100, p90: 200, most: mostLines },
  functions: { median: 15, p90: 20, most: 80 },
} as const satisfies Record<string, Budget>;

const sources = execFileSync("git", ["ls-files", "src", "packages", "tools", "test"], { encoding: "utf8" })
  .split("\n")
  .filter((file) => file.endsWith(".ts"))
  .map((file) => ({ file, text: readFileSync(file, "utf8") }));
const sizes = sources.map(({ file, text }) => ({ file, lines: text.split("\n").length - 1 }));
const tooLong = sizes.filter(({ lines }) => lines > mostLines);
for (const { file, lines } of tooLong)
  console.error(`${file}: ${lines} lines, at most ${mostLines}: split it by what it does`);
const all = describe(sizes.map(({ lines }) => lines));
console.log(`size: ${sizes.length} files, median ${all.median} lines, longest ${all.most}`);

const translation = sources.filter(({ file }) => file.startsWith("src/translate/") && !file.endsWith(".test.ts"));
const isFit = [
  checkBudget(
    "files",
    sizes.filter(({ file }) => translation.some((one) => one.file === file)).map(({ lines }) => lines),
  ),
  checkBudget(
    "functions",
    translation.flatMap(({ file, text }) => listFunctionLengths(file, text)),
  ),
].every(Boolean);
process.exit(tooLong.length > 0 || !isFit ? 1 : 0);

/** Prints the figures of the translation's files or functions; false where they are beyond their budget. */
function checkBudget(what: keyof typeof budgets, lengths: readonly number[]): boolean {
  const [figures, budget] = [describe(lengths), budgets[what]];
  const { median, p90, most } = figures;
  console.log(`size: src/translate, ${lengths.length} ${what}, median ${median} lines, p90 ${p90}, longest ${most}`);
  const over = (["median", "p90", "most"] as const).filter((name) => figures[name] > budget[name]);
  for (const name of over)
    console.error(`src/translate, ${what}: ${name} ${figures[name]} lines, budget ${budget[name]}: split what is long`);
  return over.length === 0;
}

function describe(lengths: readonly number[]): Budget {
  const sorted = lengths.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return { median: at(0.5), p90: at(0.9), most: sorted.at(-1) ?? 0 };
}

/** Lines of every function that has a name: declarations, methods, and functions that are the value of a constant. */
function listFunctionLengths(file: string, text: string): readonly number[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  const lengths: number[] = [];
  const lineOf = (position: number): number => source.getLineAndCharacterOfPosition(position).line;
  const visit = (node: ts.Node): void => {
    const isValue =
      (ts.isArrowFunction(node) || ts.isFunctionExpression(node)) && ts.isVariableDeclaration(node.parent);
    if (isValue || ts.isFunctionDeclaration(node) || ts.isMethodDeclaration(node))
      lengths.push(lineOf(node.end) - lineOf(node.getStart(source)) + 1);
    ts.forEachChild(node, visit);
  };
  visit(source);
  return lengths;
}
