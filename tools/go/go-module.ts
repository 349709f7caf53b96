/**
 * Builds programs of other projects with Go from the Go module proxy, once: a module of ours lists them as tools. Go's own
 * caches make a second build short.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { cp, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** A Go module that lists programs as tools. */
export interface GoModule {
  readonly name: string;
  readonly folder: string;
  /** Where the programs stay: a folder of the git-ignored cache. */
  readonly cacheFolder: string;
  /** Name that Go gives the program, and ours where it differs. */
  readonly programs: Readonly<Record<string, string>>;
  readonly ldflags: string;
  /** For the person who waits. */
  readonly duration: string;
}

/**
 * Builds a module's programs unless those of these very versions are there. `progress` receives one line for each step.
 * Rejects with a message that says what to install.
 */
export async function ensureBuilt(module: GoModule, progress: (line: string) => void): Promise<void> {
  const { cacheFolder } = module;
  const sums = await readFile(join(module.folder, "go.sum"), "utf8");
  const wanted = createHash("sha256").update(sums).update(module.ldflags).digest("hex");
  // Written last, so that an interrupted build is never taken for a whole one.
  const stamp = join(cacheFolder, `${module.name}.version`);
  if ((await readFile(stamp, "utf8").catch(() => "")) === wanted) return;
  const names = Object.values(module.programs).join(", ");
  const go = await findGo(names);
  progress(`building ${names} (once, ${module.duration}) with Go`);
  const work = join(cacheFolder, `build-${module.name}-${process.pid}`);
  await mkdir(work, { recursive: true });
  try {
    await build(module, { go, work, progress });
    for (const [built, name] of Object.entries(module.programs))
      await rename(join(work, built), join(cacheFolder, name));
    await writeFile(stamp, wanted);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

interface Workshop {
  readonly go: string;
  readonly work: string;
  readonly progress: (line: string) => void;
}

async function build(module: GoModule, { go, work, progress }: Workshop): Promise<void> {
  // Built from a copy: Go would write to go.mod where it sees a reason to.
  const source = join(work, "module");
  await cp(module.folder, source, { recursive: true });
  const environment = { ...process.env, CGO_ENABLED: "0", GOFLAGS: "-trimpath -buildvcs=false" };
  const startedAt = Date.now();
  const heartbeat = setInterval(() => {
    progress(`still building ${module.name}, ${Math.round((Date.now() - startedAt) / 1000)} s`);
  }, 30_000);
  try {
    await runGo(go, ["build", "-mod=readonly", "-ldflags", module.ldflags, "-o", `${work}/`, "tool"], {
      cwd: source,
      env: environment,
    });
  } finally {
    clearInterval(heartbeat);
  }
}

/** Where Go's own installer and package managers put it, for shells that were not told. */
const goPlaces = ["go", "/usr/local/go/bin/go", "/usr/lib/go/bin/go", "/opt/homebrew/bin/go"];

async function findGo(programs: string): Promise<string> {
  let found = "there is none on the PATH";
  for (const place of goPlaces) {
    const version = await runGo(place, ["env", "GOVERSION"]).catch(() => undefined);
    if (version === undefined) continue;
    const [, minor] = /^go1\.(\d+)/.exec(version) ?? [];
    if (minor === undefined || Number(minor) >= 21) return place;
    found = `this is ${version.trim()}`;
  }
  throw new Error(`Go is needed to build ${programs}, ${found}: install Go 1.26 (or 1.21 and newer, which fetch it).`);
}

function runGo(
  go: string,
  args: readonly string[],
  place: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(go, args, { ...place, stdio: ["ignore", "pipe", "pipe"] });
    let [output, errors] = ["", ""];
    child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (errors = (errors + chunk.toString()).slice(-4000)));
    child.on("error", reject);
    child.on("close", (code) => {
      if (code === 0) resolve(output);
      else
        reject(
          new Error(
            `go ${args[0]} failed. Is the module proxy reachable, and is there room on the disk? Go said:\n${errors}`,
          ),
        );
    });
  });
}
