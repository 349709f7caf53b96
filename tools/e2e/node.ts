/**
 * One Kubernetes node, control plane and all, in namespaces of this machine: made by startNode(), gone after
 * stopNode(), whoever calls it. Its state is a folder, so that a later program can end what an earlier one left.
 */
import { spawn } from "node:child_process";
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { createCgroups, removeCgroup } from "./cgroups.ts";
import { kubeconfig, logFolder, nodeFolder, nodeIp, nodeName, serviceRange } from "./layout.ts";
import { writeCertificates } from "./node-certificates.ts";
import { containerdSocket, writeNodeFiles } from "./node-files.ts";
import type { NodePrograms } from "./node-programs.ts";
import { type RunOptions, runProgram } from "./run-program.ts";
import { waitFor } from "./wait.ts";

const firstProcess = fileURLToPath(new URL("node.sh", import.meta.url));
const pidFile = join(nodeFolder, "pid");
const traceFile = join(nodeFolder, "traces.json");
/** Places on the machine that kubelet and the network plugins insist on; the node sees folders of its own there. */
const boundFolders = ["/var/lib/kubelet", "/var/lib/cni", "/var/log"];
/** The kubelet sets these for the whole machine. */
const kernelSettings = ["vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops"];

/** What has to be put back on the machine when the node is gone. */
interface Traces {
  readonly cgroups: readonly string[];
  readonly createdFolders: readonly string[];
  readonly settings: Readonly<Record<string, string>>;
}

/** Pid of the node's first process; undefined where none runs. */
export function findNodePid(): number | undefined {
  if (!existsSync(pidFile)) return undefined;
  const pid = Number(readFileSync(pidFile, "utf8"));
  try {
    // The number may be another program's by now.
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(firstProcess) ? pid : undefined;
  } catch {
    return undefined;
  }
}

/** Starts the node; resolves when the API server answers and containerd takes images. */
export async function startNode(programs: NodePrograms): Promise<void> {
  await stopNode();
  rmSync(logFolder, { recursive: true, force: true });
  for (const folder of ["pki", "cni"]) mkdirSync(join(nodeFolder, folder), { recursive: true });
  mkdirSync(logFolder, { recursive: true });
  await writeCertificates(join(nodeFolder, "pki"));
  writeNodeFiles();
  launch(prepareMachine(), dirname(programs.kubelet));
  await waitFor("the node's first process", 20_000, () =>
    existsSync(join(nodeFolder, "started")) ? undefined : readLogEnd("node"),
  );
  await waitFor("containerd", 60_000, async () => void (await runInNode("ctr", ["-a", containerdSocket, "version"])));
  await waitFor("the API server", 120_000, async () => {
    const answer = await runInNode(programs.kubectl, ["get", "--raw", "/readyz"]);
    return answer.trim() === "ok" ? undefined : answer;
  });
}

function prepareMachine(): Traces {
  const createdFolders = boundFolders.filter((folder) => !existsSync(folder));
  for (const folder of createdFolders) mkdirSync(folder, { recursive: true });
  const settings = kernelSettings.map((name) => [name, readFileSync(join("/proc/sys", name), "utf8").trim()]);
  const traces: Traces = {
    cgroups: createCgroups(`meltemi-e2e-${process.pid}`),
    createdFolders,
    settings: Object.fromEntries(settings) as Record<string, string>,
  };
  writeFileSync(traceFile, JSON.stringify(traces, null, 2));
  return traces;
}

// Goes into the cgroups and becomes the command that follows them: nothing of it runs outside.
const enterCgroups = 'while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs" || exit 1; shift; done; shift; exec "$@"';

function launch({ cgroups }: Traces, programFolder: string): void {
  const log = openSync(join(logFolder, "node.log"), "a");
  const namespaces = ["--fork", "--pid", "--mount", "--net", "--uts", "--ipc", "--cgroup"];
  const command = ["unshare", ...namespaces, "bash", firstProcess, nodeFolder, programFolder];
  const child = spawn("sh", ["-c", enterCgroups, "sh", ...cgroups, "--", ...command], {
    // A session of its own: Ctrl-C reaches the program that waits, which ends the node in order.
    detached: true,
    stdio: ["ignore", log, log],
    env: {
      PATH: process.env["PATH"] ?? "",
      LOG_FOLDER: logFolder,
      BOUND_FOLDERS: boundFolders.join(" "),
      NODE_NAME: nodeName,
      NODE_IP: nodeIp,
      SERVICE_RANGE: serviceRange,
    },
  });
  closeSync(log);
  child.unref();
}

/** Ends the node and takes away all that it left on the machine; does nothing where there is none. */
export async function stopNode(): Promise<void> {
  if (!existsSync(nodeFolder)) return;
  await waitFor("the end of the node", 30_000, endNode);
  if (existsSync(traceFile)) await removeTraces(JSON.parse(readFileSync(traceFile, "utf8")) as Traces);
  await waitFor(`the removal of ${nodeFolder}`, 30_000, () => {
    rmSync(nodeFolder, { recursive: true, force: true });
    return undefined;
  });
}

/** Undefined where it has ended. */
function endNode(): string | undefined {
  const pid = findNodePid();
  if (pid !== undefined) process.kill(pid, "SIGKILL");
  return pid === undefined ? undefined : `it runs as ${pid}`;
}

async function removeTraces({ cgroups, createdFolders, settings }: Traces): Promise<void> {
  await waitFor("the end of the node's processes", 30_000, () => {
    // A node that was only just being started says its pid late.
    endNode();
    const left = cgroups.filter((folder) => !removeCgroup(folder));
    return left.length === 0 ? undefined : `cgroups ${left.join(", ")}`;
  });
  for (const [name, value] of Object.entries(settings)) writeFileSync(join("/proc/sys", name), value);
  for (const folder of createdFolders) if (existsSync(folder) && readdirSync(folder).length === 0) rmdirSync(folder);
}

/** Runs a program on the node, with its mounts, processes, network and the administrator's credentials. */
export function runInNode(program: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const pid = findNodePid();
  if (pid === undefined) return Promise.reject(new Error("there is no node"));
  const env = { ...(options.env ?? process.env), KUBECONFIG: kubeconfig, HOME: nodeFolder };
  const enter = ["-t", String(pid), "--mount", "--net", "--pid", "--uts", "--ipc", "--cgroup", "--"];
  return runProgram("nsenter", [...enter, program, ...args], { ...options, env });
}

/** Loads image archives into containerd. */
export async function importImages(archives: readonly string[]): Promise<void> {
  const common = ["-a", containerdSocket, "-n", "k8s.io", "images", "import"];
  for (const archive of archives) await runInNode("ctr", [...common, archive], { limitMs: 300_000 });
}

/** The last lines of a program's log. */
export function readLogEnd(name: string): string {
  const file = join(logFolder, `${basename(name)}.log`);
  return existsSync(file) ? readFileSync(file, "utf8").trimEnd().split("\n").slice(-8).join("\n") : "no log yet";
}
