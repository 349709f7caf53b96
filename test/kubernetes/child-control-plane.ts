/** The control plane as a process of its own, for faults of its machine. */

import { type ChildProcess, type StdioOptions, spawn } from "node:child_process";
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import { findFreePort } from "../../tools/free-ports.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

export interface ChildOptions {
  readonly kubeconfig: string;
  /** Where its standard output goes: a descriptor, or "pipe". */
  readonly output: number | "pipe";
  /** Arguments for Node itself. */
  readonly nodeArgs?: readonly string[];
  readonly folder?: string;
}

export interface ChildControlPlane {
  readonly grpcAddress: string;
  /** Whole lines so far, of both outputs. */
  readonly lines: readonly string[];
  readonly process: ChildProcess;
  isReady(): Promise<boolean>;
  /** Least bytes of the heap in use over some readings: between two collections it only grows. */
  leastHeap(): Promise<number>;
  /** Resolves to the exit code. */
  stop(): Promise<number | null>;
}

/** Starts `meltemi serve` on free ports; the caller waits until it is ready, and stops it. */
export async function startChild(options: ChildOptions): Promise<ChildControlPlane> {
  const [grpc, http, monitoring] = [await findFreePort(), await findFreePort(), await findFreePort()];
  const { folder = root, nodeArgs = [] } = options;
  const flags = {
    kubeconfig: options.kubeconfig,
    grpcAddr: `127.0.0.1:${grpc}`,
    httpAddr: `127.0.0.1:${http}`,
    secureGRPCAddr: "",
    httpsAddr: "127.0.0.1:0",
    monitoringAddr: `127.0.0.1:${monitoring}`,
    shutdownDuration: "1s",
  };
  const args = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]);
  const home = options.folder ?? tmpdir();
  const env = { PATH: process.env["PATH"], HOME: home, TMPDIR: home, ENABLE_LEADER_ELECTION: "false" };
  const settings = { PILOT_ENABLE_STATUS: "false", VALIDATION_WEBHOOK_CONFIG_NAME: "none" };
  const stdio: StdioOptions = ["ignore", options.output, "pipe"];
  const program = `${root}/src/cli/meltemi.mjs`;
  // A small young generation is collected often: the heap's readings are near the truth.
  const node = ["--max-semi-space-size=1", ...nodeArgs, program, "serve", ...args];
  const child = spawn(process.execPath, node, { cwd: folder, env: { ...env, ...settings }, stdio });
  const lines: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on("data", (bytes: Buffer) => lines.push(...String(bytes).split("\n").filter(Boolean)));
  }
  const exited = new Promise<number | null>((resolve) => child.on("exit", resolve));
  return {
    grpcAddress: flags.grpcAddr,
    lines,
    process: child,
    isReady: () =>
      fetch(`http://127.0.0.1:${http}/ready`).then(
        ({ status }) => status === 200,
        () => false,
      ),
    leastHeap: () => readLeastHeap(`http://127.0.0.1:${monitoring}/metrics`),
    stop: () => {
      child.kill("SIGTERM");
      return exited;
    },
  };
}

async function readLeastHeap(url: string): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let reading = 0; reading < 30; reading++) {
    const text = await (await fetch(url)).text();
    least = Math.min(least, Number(/^nodejs_heap_size_used_bytes (\S+)$/m.exec(text)?.[1]));
  }
  return least;
}
