/** Envoy as a child process. What it prints is printed as it is. */
import { type ChildProcess, spawn } from "node:child_process";
import type { Environment } from "../config/env.ts";

export interface EnvoyProcessOptions {
  readonly binaryPath: string;
  readonly args: readonly string[];
  readonly environment: Environment;
}

/** How Envoy ended, or why it did not begin. */
export type EnvoyEnd =
  | { readonly kind: "exited"; readonly code: number }
  | { readonly kind: "signalled"; readonly signal: string }
  | { readonly kind: "not-started"; readonly reason: string };

export interface EnvoyProcess {
  readonly pid: number | undefined;
  /** Resolves when Envoy is gone; never rejects. */
  readonly ended: Promise<EnvoyEnd>;
  kill(): void;
}

export function startEnvoyProcess({ binaryPath, args, environment }: EnvoyProcessOptions): EnvoyProcess {
  const child = spawn(binaryPath, args, { stdio: ["ignore", "inherit", "inherit"], env: { ...environment } });
  const kill = (): void => void child.kill("SIGKILL");
  // An agent that ends by a fault of its own leaves no proxy behind that nobody watches.
  process.once("exit", kill);
  const ended = awaitEnd(child).finally(() => process.removeListener("exit", kill));
  return { pid: child.pid, ended, kill };
}

function awaitEnd(child: ChildProcess): Promise<EnvoyEnd> {
  return new Promise((resolve) => {
    child.once("error", (cause) => {
      // Later errors tell of signals that could not be sent.
      if (child.pid === undefined) resolve({ kind: "not-started", reason: cause.message });
    });
    child.once("exit", (code, signal) => {
      resolve(signal === null ? { kind: "exited", code: code ?? 1 } : { kind: "signalled", signal });
    });
  });
}
