/**
 * Cgroups of the node's own, one in each hierarchy below the one that we are in: the pods of one node are then nobody
 * else's, and can all be removed with it.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const mountPoint = "/sys/fs/cgroup";

/** Makes them and gives their folders; a process goes in by writing its id into each one's cgroup.procs. */
export function createCgroups(name: string): readonly string[] {
  const lines = readFileSync("/proc/self/cgroup", "utf8").trim().split("\n");
  const hierarchies = lines.map((line) => {
    const [, controllers = "", ...path] = line.split(":");
    return { controllers: controllers.replace("name=", ""), path: path.join(":") };
  });
  const versionOne = hierarchies.filter(({ controllers }) => controllers !== "");
  if (versionOne.length === 0) return [createUnified(name)];
  return versionOne.map(({ controllers, path }) => {
    const parent = join(mountPoint, controllers, path);
    const folder = join(parent, name);
    mkdirSync(folder, { recursive: true });
    // A cpuset begins empty, and takes no process so.
    if (controllers === "cpuset")
      for (const file of ["cpuset.cpus", "cpuset.mems"])
        writeFileSync(join(folder, file), readFileSync(join(parent, file)));
    return folder;
  });
}

/** Version 2: at the top, the only place where processes and controllers that are handed down may meet. */
function createUnified(name: string): string {
  const folder = join(mountPoint, name);
  mkdirSync(folder, { recursive: true });
  for (const controller of ["cpu", "cpuset", "memory", "pids"])
    try {
      writeFileSync(join(mountPoint, "cgroup.subtree_control"), `+${controller}`);
    } catch {
      // A controller that the kernel lacks; kubelet says which ones it cannot do without.
    }
  return folder;
}

/** Removes a cgroup with all below it. False while processes in it have not ended yet. */
export function removeCgroup(folder: string): boolean {
  if (!existsSync(folder)) return true;
  for (const entry of readdirSync(folder, { withFileTypes: true }))
    if (entry.isDirectory() && !removeCgroup(join(folder, entry.name))) return false;
  try {
    rmdirSync(folder);
    return true;
  } catch {
    return false;
  }
}
