/** Programs that run to their end. */
import { execFile } from "node:child_process";

export interface RunOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly input?: string;
  /** Ended after this long; 2 minutes where not given. */
  readonly limitMs?: number;
}

/** Standard output of a program; rejects with its arguments and what it said on the other channel. */
export function runProgram(program: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const { env = process.env, input = "", limitMs = 120_000 } = options;
  return new Promise((resolve, reject) => {
    const settings = { env, maxBuffer: 256 * 1024 * 1024, timeout: limitMs };
    const child = execFile(program, [...args], settings, (error, stdout, stderr) => {
      if (error === null) return resolve(stdout);
      const said = stderr.trim() || stdout.trim() || error.message;
      reject(new Error(`${program} ${args.join(" ").slice(0, 300)}: ${said}`));
    });
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(input);
  });
}
