/** The proxies that are compared, each in a process of its own. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { envoyBinary } from "../../../tools/envoy/fetch.ts";
import { companionProgram } from "../../envoy/envoy-process.ts";
import { buildBenchBootstrap, type ListenerName, listenerNames, type ServingCertificate } from "./bench-bootstrap.ts";
import { ChildLink } from "./child-link.ts";
import type { UpstreamPorts } from "./upstream-process.ts";

export const contestantNames = ["companion", "Envoy", "http-proxy"] as const;
export type ContestantName = (typeof contestantNames)[number];

export interface Contestant {
  readonly name: ContestantName;
  readonly pid: number;
  /** On the loopback address; what is not there cannot be asked of it. */
  readonly ports: Readonly<Partial<Record<ListenerName, number>>>;
  stop(): Promise<void>;
}

/** What all of them have in front of themselves. */
export interface ContestantOptions {
  readonly ports: UpstreamPorts;
  readonly certificate: ServingCertificate;
}

/** Starts one and waits until it takes connections. */
export async function startContestant(name: ContestantName, options: ContestantOptions): Promise<Contestant> {
  switch (name) {
    case "http-proxy":
      return startHttpProxy(options);
    case "companion":
      // As `meltemi-proxy` on a command line: the file's own first line names Node, with no flags.
      return startDataPlane(name, [process.execPath, companionProgram], options);
    case "Envoy":
      return startDataPlane(name, [await envoyBinary()], options);
  }
}

async function startHttpProxy(options: ContestantOptions): Promise<Contestant> {
  const { link, ready } = await ChildLink.start<object, Contestant["ports"]>("http-proxy-process.ts", options);
  return { name: "http-proxy", pid: link.pid, ports: ready, stop: () => link.stop() };
}

async function startDataPlane(
  name: ContestantName,
  [program, ...first]: readonly [string, ...string[]],
  { ports, certificate }: ContestantOptions,
): Promise<Contestant> {
  const folder = mkdtempSync(join(tmpdir(), "meltemi-bench-"));
  const [config, log, address] = ["bootstrap.json", "log", "admin"].map((file) => join(folder, file)) as [
    string,
    string,
    string,
  ];
  writeFileSync(config, JSON.stringify(buildBenchBootstrap(ports, certificate)));
  const output = openSync(log, "a");
  const flags = ["-c", config, "--admin-address-path", address, "--concurrency", "1", "--disable-hot-restart"];
  const child = spawn(program, [...first, ...flags, "-l", "warning"], { stdio: ["ignore", output, output] });
  const stop = async (): Promise<void> => {
    await end(child);
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    return { name, pid: child.pid ?? 0, ports: await findPorts(child, address), stop };
  } catch (cause) {
    const text = readFileSync(log, "utf8");
    await stop();
    throw new Error(`${name} does not start: ${String(cause)}\n${text}`);
  }
}

/** Long enough for a machine that is busy with something else. */
const [patienceMs, pollMs] = [120_000, 50];

/** Resolves to the listeners' ports as soon as the proxy is ready. */
async function findPorts(child: ChildProcess, addressFile: string): Promise<Contestant["ports"]> {
  const latest = performance.now() + patienceMs;
  while (performance.now() < latest) {
    if (child.exitCode !== null || child.signalCode !== null) {
      throw new Error(`it ended with ${child.exitCode ?? child.signalCode}`);
    }
    const ports = await askPorts(addressFile).catch((): Contestant["ports"] => ({}));
    if (listenerNames.every((name) => ports[name] !== undefined)) return ports;
    await sleep(pollMs);
  }
  throw new Error(`it does not listen within ${patienceMs / 1000} s`);
}

/** Those that there are so far. Rejects as long as there are no administration pages. */
async function askPorts(addressFile: string): Promise<Contestant["ports"]> {
  const admin = `http://${readFileSync(addressFile, "utf8")}`;
  if ((await fetch(`${admin}/ready`)).status !== 200) return {};
  return readPorts(await (await fetch(`${admin}/listeners?format=json`)).json());
}

interface ListenersPage {
  readonly listener_statuses?: readonly {
    readonly name: string;
    readonly local_address: { readonly socket_address: { readonly port_value: number } };
  }[];
}

function readPorts(page: unknown): Contestant["ports"] {
  const { listener_statuses = [] } = page as ListenersPage;
  return Object.fromEntries(
    listener_statuses.map(({ name, local_address }) => [name, local_address.socket_address.port_value]),
  );
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
}
