/** The packages of the running program: what `npm ci --omit=dev` installs, by the lockfile. */
import { cpSync, mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { root } from "./layout.ts";

interface LockedPackage {
  readonly dev?: boolean;
  readonly link?: boolean;
  readonly resolved?: string;
}

interface Lockfile {
  readonly packages: Readonly<Record<string, LockedPackage>>;
}

/** Copies them from this checkout's node_modules to another place with the same form. */
export function copyRunningPackages(target: string): void {
  const { packages } = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")) as Lockfile;
  for (const [path, { dev, link, resolved = "" }] of Object.entries(packages)) {
    if (!path.startsWith("node_modules/") || dev === true) continue;
    const destination = join(target, path.slice("node_modules/".length));
    mkdirSync(dirname(destination), { recursive: true });
    if (link !== true) cpSync(join(root, path), destination, { recursive: true });
    // Workspaces: the same relative link as npm makes, which holds beside any copy of the folder.
    else symlinkSync(join("../".repeat(path.split("/").length - 1), resolved), destination);
  }
}
