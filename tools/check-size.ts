/** Checks that no source file grows past what one can read in a sitting: 500 lines. Generated folders are not sources. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

const mostLines = 500;
const files = execFileSync("git", ["ls-files", "src", "packages", "tools", "test"], { encoding: "utf8" })
  .split("\n")
  .filter((file) => file.endsWith(".ts"));
const sizes = files.map((file) => ({ file, lines: readFileSync(file, "utf8").split("\n").length - 1 }));
const tooLong = sizes.filter(({ lines }) => lines > mostLines);
for (const { file, lines } of tooLong)
  console.error(`${file}: ${lines} lines, at most ${mostLines}: split it by what it does`);
const sorted = sizes.map(({ lines }) => lines).sort((a, b) => a - b);
console.log(
  `size: ${files.length} files, median ${sorted[Math.floor(sorted.length / 2)]} lines, longest ${sorted.at(-1)}`,
);
process.exit(tooLong.length > 0 ? 1 : 0);
