/**
 * A Python that has gRPC, for the client of another hand that tests call the certificate service with. The package is
 * fetched once with Python's own pip and stays in .cache/python.
 */
import { execFile } from "node:child_process";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const grpcVersion = "1.76.0";
const cacheFolder = fileURLToPath(new URL("../../.cache/python/", import.meta.url));

export interface PythonWithGrpc {
  /** The program. */
  readonly python: string;
  /** Folder with the packages, for PYTHONPATH. */
  readonly packages: string;
}

/** Fetches the package (7 MB) where it is missing or for another Python. Rejects with a message that says what to install. */
export async function pythonWithGrpc(): Promise<PythonWithGrpc> {
  const [python, version] = await findPython();
  const wanted = `grpcio ${grpcVersion} for ${version}`;
  // Its name holds all that it depends on, so that a folder that is there is always the right one.
  const packages = join(cacheFolder, wanted.replaceAll(/[^\w.]+/g, "-"));
  const stamp = join(packages, "complete");
  if ((await readFile(stamp, "utf8").catch(() => "")) === wanted) return { python, packages };
  const work = join(cacheFolder, `download-${process.pid}`);
  await mkdir(work, { recursive: true });
  try {
    const args = ["-m", "pip", "install", "--quiet", "--only-binary=:all:", "--disable-pip-version-check"];
    await run(python, [...args, "--target", work, `grpcio==${grpcVersion}`]);
    await writeFile(join(work, "complete"), wanted);
    // Another process may have been quicker: then its folder is as good.
    await rename(work, packages).catch(async (cause: unknown) => {
      if ((await readFile(stamp, "utf8").catch(() => "")) !== wanted) throw cause;
    });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  return { python, packages };
}

async function findPython(): Promise<readonly [program: string, version: string]> {
  for (const name of ["python3", "python"]) {
    const script = "import pip, sys; print('.'.join(map(str, sys.version_info[:2])))";
    const found = await run(name, ["-c", script]).catch(() => undefined);
    if (found !== undefined) return [name, found.stdout.trim()];
  }
  throw new Error("Python 3 with pip is needed for the client of another hand: install python3 and python3-pip.");
}
