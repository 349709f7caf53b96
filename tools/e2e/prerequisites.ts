/** What a node needs of the machine: Linux, root, and a few Debian packages, installed where they are missing. */
import { accessSync, constants, existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { runProgram } from "./run-program.ts";

interface NeededFile {
  readonly package: string;
  /** A program of the search path, or a file where the name is a whole path. */
  readonly file: string;
}

const needed: readonly NeededFile[] = [
  { package: "containerd", file: "containerd" },
  { package: "runc", file: "runc" },
  { package: "containernetworking-plugins", file: "/usr/lib/cni/bridge" },
  { package: "iptables", file: "iptables" },
  { package: "busybox-static", file: "busybox" },
  { package: "iproute2", file: "ip" },
  { package: "util-linux", file: "nsenter" },
];

// Root's own programs are missing on the search path of a shell that sudo did not clean.
const searchPath = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/local/sbin", "/usr/sbin", "/sbin"];

/** The path of a program of this machine; undefined where there is none. */
export function findProgram(name: string): string | undefined {
  return searchPath.map((folder) => join(folder, name)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

const isMissing = ({ file }: NeededFile): boolean =>
  file.startsWith("/") ? !existsSync(file) : findProgram(file) === undefined;

/** Installs what is missing; rejects with one sentence that says what to do where that is not possible. */
export async function ensurePrerequisites(progress: (line: string) => void): Promise<void> {
  if (process.platform !== "linux") throw new Error("make e2e runs a Kubernetes node, which needs Linux");
  if (process.getuid?.() !== 0)
    throw new Error("make e2e makes namespaces and mounts, which only root may: run it as root (sudo make e2e)");
  const missing = needed.filter(isMissing).map((one) => one.package);
  if (missing.length === 0) return;
  if (findProgram("apt-get") === undefined)
    throw new Error(`make e2e needs ${missing.join(", ")} (Debian's names); there is no apt-get here: install them`);
  progress(`installing ${missing.join(", ")} with apt-get`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  await runProgram("apt-get", ["update", "-qq"], { env, limitMs: 300_000 });
  const install = ["install", "-y", "-qq", "--no-install-recommends", ...missing];
  await runProgram("apt-get", install, { env, limitMs: 600_000 });
  const stillMissing = needed.filter(isMissing).map((one) => one.package);
  if (stillMissing.length > 0) throw new Error(`apt-get did not bring ${stillMissing.join(", ")}`);
}
