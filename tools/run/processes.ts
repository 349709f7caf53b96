/** Child processes of the local mesh: each in a group of its own, its output in a log file, ended by this program. */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, createWriteStream, openSync } from "node:fs";
import { join } from "node:path";

export interface ProcessSpec {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** Receives each line of standard output, which goes to the log file as well. */
  readonly onLine?: (line: string) => void;
}

export interface ProcessSet {
  start(spec: ProcessSpec): void;
  /** Whether a process of this name was started and has not ended. */
  isRunning(name: string): boolean;
  /** Ends all processes, the last started first to be asked; resolves when all are gone. */
  stop(): Promise<void>;
}

/** Longest time between the polite signal and the final one. */
const graceMs = 4000;

/** `onExit` hears of a process that ended before stop() was called. */
export function createProcessSet(logFolder: string, onExit: (name: string, logFile: string) => void): ProcessSet {
  const running = new Map<ChildProcess, string>();
  let stopping = false;

  // Whatever ends this program, also an error of its own, leaves nothing behind.
  process.on("exit", () => {
    for (const child of running.keys()) child.kill("SIGKILL");
  });

  return {
    start(spec) {
      const logFile = join(logFolder, `${spec.name}.log`);
      const log = openSync(logFile, "a");
      // detached: Ctrl-C in the terminal reaches this program alone, which then ends the others in order.
      const stdout = spec.onLine === undefined ? log : "pipe";
      const child = spawn(spec.command, [...spec.args], { detached: true, stdio: ["ignore", stdout, log] });
      closeSync(log);
      running.set(child, spec.name);
      if (spec.onLine !== undefined && child.stdout !== null) {
        child.stdout.pipe(createWriteStream(logFile, { flags: "a" }));
        readLines(child.stdout, spec.onLine);
      }
      const ended = (): void => {
        if (running.delete(child) && !stopping) onExit(spec.name, logFile);
      };
      child.on("exit", ended).on("error", ended);
    },
    isRunning: (name) => [...running.values()].includes(name),
    async stop() {
      stopping = true;
      await Promise.all([...running.keys()].reverse().map(endProcess));
    },
  };
}

function endProcess(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve();
    const last = setTimeout(() => child.kill("SIGKILL"), graceMs);
    child.on("exit", () => {
      clearTimeout(last);
      resolve();
    });
    child.kill("SIGTERM");
  });
}

function readLines(stream: NodeJS.ReadableStream, onLine: (line: string) => void): void {
  let rest = "";
  stream.setEncoding("utf8");
  stream.on("data", (chunk: string) => {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) onLine(line);
  });
}
