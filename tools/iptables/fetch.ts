/**
 * iptables for tests with a real kernel: the machine's own, or Debian's packages unpacked into .cache/iptables, which
 * installs nothing. Both kinds are needed, legacy and nf_tables.
 */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readdir, rename, rm } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const cacheFolder = fileURLToPath(new URL("../../.cache/iptables/", import.meta.url));
/** Debian's and Ubuntu's names: the programs, and the libraries that a small machine lacks. */
const packages = [
  ...["iptables", "libxtables12", "libip4tc2", "libip6tc2"],
  ...["libmnl0", "libnftnl11", "libnfnetlink0", "libnetfilter-conntrack3"],
];
const programs = ["iptables-nft", "iptables-legacy", "ip6tables-nft", "ip6tables-legacy"];

/** The environment in which iptables is found; rejects with a message that says what to install. */
export async function iptablesEnvironment(): Promise<Readonly<Record<string, string>>> {
  const path = `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin`;
  const isInstalled = programs.every((name) => path.split(delimiter).some((folder) => existsSync(join(folder, name))));
  if (isInstalled) return { PATH: path };
  const root = join(cacheFolder, "root");
  if (!existsSync(root)) await unpackPackages(root);
  const [triplet = ""] = await readdir(join(root, "usr/lib")).then((names) =>
    names.filter((name) => name.includes("-")),
  );
  const libraries = join(root, "usr/lib", triplet);
  return {
    PATH: `${join(root, "usr/sbin")}:${join(root, "sbin")}:${path}`,
    LD_LIBRARY_PATH: libraries,
    XTABLES_LIBDIR: join(libraries, "xtables"),
  };
}

async function unpackPackages(root: string): Promise<void> {
  // A folder of its own for each process: two runs at once do not disturb each other.
  const work = join(cacheFolder, `download-${process.pid}`);
  await mkdir(work, { recursive: true });
  try {
    const download = (): Promise<unknown> => run("apt-get", ["download", ...packages], { cwd: work });
    // A machine that has never asked for its lists of packages, or not for long, asks now.
    await download().catch(async () => {
      await run("apt-get", ["update", "-qq"]);
      await download();
    });
    const archives = (await readdir(work)).filter((name) => name.endsWith(".deb"));
    for (const name of archives) await run("dpkg-deb", ["-x", join(work, name), join(work, "root")]);
    await rename(join(work, "root"), root);
  } catch (cause) {
    const detail = cause instanceof Error && "stderr" in cause ? String(cause.stderr).trim() : String(cause);
    throw new Error(`tests of redirection need iptables (legacy and nft): install the package iptables.\n${detail}`);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
