/**
 * Checks who imports whom (.dependency-cruiser.cjs). Fails also when nothing was cruised: with a TypeScript that the
 * cruiser does not know it reports "no violations" about no files.
 */
import { execFileSync } from "node:child_process";

interface CruiseResult {
  readonly modules: readonly { readonly source: string }[];
  readonly summary: { readonly error: number; readonly violations: readonly Violation[] };
}
interface Violation {
  readonly from: string;
  readonly to: string;
  readonly rule: { readonly name: string; readonly severity: string };
}

const least = 40;

function cruise(): CruiseResult {
  const args = ["depcruise", "src", "packages", "--config", ".dependency-cruiser.cjs", "--output-type", "json"];
  try {
    return JSON.parse(
      execFileSync("npx", args, { encoding: "utf8", maxBuffer: 1 << 28, stdio: ["ignore", "pipe", "inherit"] }),
    );
  } catch (cause) {
    // The cruiser exits with the number of errors and still prints its result.
    const { stdout } = cause as { stdout?: string };
    if (stdout === undefined || stdout === "") throw cause;
    return JSON.parse(stdout);
  }
}

const { modules, summary } = cruise();
const own = modules.filter(({ source }) => /^(src|packages)\//.test(source)).length;
for (const { from, to, rule } of summary.violations) console.error(`${rule.severity} ${rule.name}: ${from} -> ${to}`);
console.log(`layers: ${own} modules, ${summary.error} violations`);
if (own < least) {
  console.error(`only ${own} modules were seen (at least ${least} expected): the check itself is broken`);
  process.exit(1);
}
process.exit(summary.error > 0 ? 1 : 0);
