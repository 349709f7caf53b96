/**
 * Two network namespaces, a pod and a peer, joined by a wire. Nothing of the machine's own network is touched: every
 * command runs inside one of them, and both are gone with the processes that hold them.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { iptablesEnvironment } from "../../tools/iptables/fetch.ts";

export interface Result {
  readonly code: number;
  readonly output: string;
}

export interface Namespace {
  /** Path of the namespace. */
  readonly path: string;
  /** Runs a program inside; never rejects. */
  run(program: string, args: readonly string[], variables?: Readonly<Record<string, string>>): Promise<Result>;
  /** Starts servers of port-server.ts as the given user; resolves when they listen. */
  serve(uid: number, addresses: readonly string[]): Promise<void>;
  /** What answers each of these, called as the given user. */
  call(uid: number, targets: readonly string[]): Promise<readonly string[]>;
}

export interface PodNetwork {
  /** 10.9.0.2 and fd09::2. */
  readonly pod: Namespace;
  /** 10.9.0.1 and fd09::1. */
  readonly peer: Namespace;
  stop(): Promise<void>;
}

export async function startPodNetwork(): Promise<PodNetwork> {
  if (process.getuid?.() !== 0) throw new Error("tests of redirection make network namespaces: run them as root");
  const children: ChildProcess[] = [];
  const stop = async (): Promise<void> => {
    for (const child of children.splice(0).reverse()) await end(child);
  };
  try {
    const environment = { ...process.env, ...(await iptablesEnvironment()) };
    const pod = await createNamespace(children, environment);
    const peer = await createNamespace(children, environment);
    await succeed(pod, ["link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", peer.path]);
    for (const [namespace, last] of [
      [pod, 2],
      [peer, 1],
    ] as const) {
      await succeed(namespace, ["link", "set", "lo", "up"]);
      await succeed(namespace, ["link", "set", "eth0", "up"]);
      await succeed(namespace, ["address", "add", `10.9.0.${last}/24`, "dev", "eth0"]);
      await succeed(namespace, ["address", "add", `fd09::${last}/64`, "dev", "eth0", "nodad"]);
    }
    return { pod, peer, stop };
  } catch (cause) {
    await stop();
    throw cause;
  }
}

async function succeed(namespace: Namespace, args: readonly string[]): Promise<void> {
  const { code, output } = await namespace.run("ip", args);
  if (code !== 0) throw new Error(`ip ${args.join(" ")}: ${output}`);
}

async function createNamespace(children: ChildProcess[], environment: NodeJS.ProcessEnv): Promise<Namespace> {
  // cat ends with its standard input, and so at the latest with this process.
  const holder = spawn("unshare", ["--net", "sh", "-c", "echo held; exec cat"], { stdio: ["pipe", "pipe", "inherit"] });
  children.push(holder);
  await waitForLine(holder);
  const path = `/proc/${holder.pid}/ns/net`;
  const enter = (uid: number, words: readonly string[]): readonly string[] => {
    const user = uid === 0 ? [] : ["--setuid", String(uid), "--setgid", String(uid)];
    return [`--net=${path}`, ...user, "--", ...words];
  };
  const run = (words: readonly string[], variables: Readonly<Record<string, string>> = {}): Promise<Result> =>
    new Promise((resolve) => {
      const options = { env: { ...environment, ...variables }, timeout: 60_000 };
      execFile("nsenter", [...words], options, (error, stdout, stderr) => {
        resolve({
          code: typeof error?.code === "number" ? error.code : Number(error !== null),
          output: stdout + stderr,
        });
      });
    });
  return {
    path,
    run: (program, args, variables) => run(enter(0, [program, ...args]), variables),
    async serve(uid, addresses) {
      const words = enter(uid, [process.execPath, scriptPath("port-server.ts"), ...addresses]);
      const child = spawn("nsenter", [...words], { stdio: ["pipe", "pipe", "inherit"], env: environment });
      children.push(child);
      await waitForLine(child);
    },
    async call(uid, targets) {
      const { output } = await run(enter(uid, [process.execPath, scriptPath("port-client.ts"), ...targets]));
      return JSON.parse(output) as readonly string[];
    },
  };
}

function scriptPath(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url));
}

function waitForLine(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    child.stdout?.once("data", () => resolve());
    child.once("error", (cause) => reject(new Error(`cannot make a network namespace: ${cause.message}`)));
    child.once("exit", (code) => reject(new Error(`ended with ${code} instead of listening; its errors are above`)));
  });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
}
