/** One server process of the cluster: its output in a file, ended by its id, gone when this program ends. */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";

export interface Child {
  /** Undefined while it runs. */
  readonly exit: string | undefined;
  readonly pid: number;
  /** The last lines of its output. */
  logEnd(): string;
  signal(name: NodeJS.Signals): void;
  /** Asks it to end, insists after `graceMs`; resolves when it is gone. */
  end(signal?: NodeJS.Signals, graceMs?: number): Promise<void>;
}

const children = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of children) child.kill("SIGKILL");
});

export function startChild(command: string, args: readonly string[], logFile: string): Child {
  const log = openSync(logFile, "a");
  // A group of its own: Ctrl-C in a terminal reaches the program that started it, which ends the cluster in order.
  const child = spawn(command, [...args], { detached: true, stdio: ["ignore", log, log] });
  closeSync(log);
  children.add(child);
  let exit: string | undefined;
  const ended = new Promise<void>((resolve) => {
    const finish = (reason: string): void => {
      exit ??= reason;
      children.delete(child);
      resolve();
    };
    child
      .on("exit", (code, signal) => finish(signal ?? `exit code ${code}`))
      .on("error", (cause) => finish(cause.message));
  });
  return {
    get exit() {
      return exit;
    },
    pid: child.pid ?? -1,
    logEnd: () => readFileSync(logFile, "utf8").trimEnd().split("\n").slice(-8).join("\n"),
    signal: (name) => void child.kill(name),
    async end(signal = "SIGTERM", graceMs = 10_000) {
      if (exit !== undefined) return;
      child.kill(signal);
      const last = setTimeout(() => child.kill("SIGKILL"), graceMs);
      await ended;
      clearTimeout(last);
    },
  };
}
