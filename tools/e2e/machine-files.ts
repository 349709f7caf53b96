/** Copies programs of this machine, with the shared libraries that they load, into the layer of an image. */
import { chmodSync, cpSync, mkdirSync, realpathSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { runProgram } from "./run-program.ts";

/** Puts a program at `target` of the layer, and its libraries where its loader looks for them. */
export async function copyProgram(layer: string, program: string, target: string): Promise<void> {
  copyFile(realpathSync(program), join(layer, target));
  for (const library of await listLibraries(program)) copyFile(realpathSync(library), join(layer, library));
}

/** Paths as the loader uses them; none for programs that bring all with them. */
async function listLibraries(program: string): Promise<readonly string[]> {
  const listed = await runProgram("ldd", [program]).catch(() => "");
  return [...listed.matchAll(/(?:=> |^\s+)(\/\S+) \(/gm)].map(([, path = ""]) => path);
}

/** Copies a program, or a folder with all in it and what that loads, to the same path of the layer. */
export async function copyFromMachine(layer: string, path: string, target: string): Promise<void> {
  if (!statSync(path).isDirectory()) return copyProgram(layer, path, target);
  cpSync(path, join(layer, target), { recursive: true, verbatimSymlinks: true });
}

/** Names for the users that run in images, and the folders that programs expect. */
export function writeRootFiles(layer: string): void {
  for (const folder of ["etc", "tmp", "proc", "sys", "dev", "run", "var", "root"])
    mkdirSync(join(layer, folder), { recursive: true });
  chmodSync(join(layer, "tmp"), 0o1777);
  symlinkSync("../run", join(layer, "var/run"));
  const users = ["root:x:0:0:root:/root:/bin/sh", "nonroot:x:65532:65532::/tmp:/bin/sh"];
  writeFileSync(join(layer, "etc/passwd"), `${[...users, "istio-proxy:x:1337:1337::/tmp:/bin/sh"].join("\n")}\n`);
  writeFileSync(join(layer, "etc/group"), "root:x:0:\nnonroot:x:65532:\nistio-proxy:x:1337:\n");
  writeFileSync(join(layer, "etc/nsswitch.conf"), "hosts: files dns\n");
}

/** Busybox and a link for each of its programs. */
export async function writeShell(layer: string, busybox: string): Promise<void> {
  copyFile(realpathSync(busybox), join(layer, "bin/busybox"));
  for (const name of (await runProgram(busybox, ["--list"])).trim().split("\n"))
    if (name !== "busybox") symlinkSync("busybox", join(layer, "bin", name));
}

function copyFile(source: string, target: string): void {
  mkdirSync(dirname(target), { recursive: true });
  cpSync(source, target);
}
