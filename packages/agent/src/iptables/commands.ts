/** Programs of the system: iptables and ip, run one at a time in the network namespace that is worked in. */
import { execFile } from "node:child_process";

export interface CommandResult {
  /** Exit code; undefined where the program is not there or was ended by a signal. */
  readonly code: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end, `input` on its standard input; never rejects. */
export type RunCommand = (program: string, args: readonly string[], input?: string) => Promise<CommandResult>;

export interface CommandOptions {
  readonly environment: { readonly [name: string]: string | undefined };
  /** Path of a network namespace to enter by nsenter(1); "" for the own one. */
  readonly networkNamespace: string;
  /** Locks by network namespace: the host's lock is not for a pod's tables. */
  readonly cniMode: boolean;
}

/** Nothing that these programs do takes longer; the lock of the tables is waited for half a minute. */
const timeoutMs = 60_000;
const maxOutputBytes = 16 * 1024 * 1024;

export function createCommandRunner({ environment, networkNamespace, cniMode }: CommandOptions): RunCommand {
  const lock = cniMode && networkNamespace !== "" ? { XTABLES_LOCKFILE: networkNamespace } : {};
  // iptables is often beside what a service's or a container's PATH holds.
  const path = `${environment["PATH"] ?? "/usr/bin:/bin"}:/usr/sbin:/sbin`;
  const options = { env: { ...environment, ...lock, PATH: path }, timeout: timeoutMs, maxBuffer: maxOutputBytes };
  return (program, args, input = "") => {
    const words = networkNamespace === "" ? [program] : ["nsenter", `--net=${networkNamespace}`, "--", program];
    const [command = program, ...rest] = [...words, ...args];
    return new Promise((resolve) => {
      const child = execFile(command, rest, options, (error, stdout, stderr) => {
        const code = error === null ? 0 : error.code;
        const problem = stderr === "" && error !== null ? error.message : stderr;
        resolve({ code: typeof code === "number" ? code : undefined, stdout, stderr: problem });
      });
      // A program that ends before it reads everything says why by its exit code.
      child.stdin?.on("error", () => undefined);
      child.stdin?.end(input);
    });
  };
}
