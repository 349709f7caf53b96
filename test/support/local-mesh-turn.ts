/** The local mesh has ports of its own, so that only one of its kind runs at a time: tests of it take turns. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const folder = join(tmpdir(), "meltemi-local-mesh-turn");
const owner = join(folder, "pid");
const limitMs = 300_000;

/** Waits for this process's turn; the function that is given ends it. Rejects after five minutes. */
export async function takeLocalMeshTurn(): Promise<() => void> {
  const end = Date.now() + limitMs;
  while (!tryTake()) {
    if (Date.now() > end) throw new Error(`another test has had the local mesh for five minutes (${folder})`);
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  return () => rmSync(folder, { recursive: true, force: true });
}

function tryTake(): boolean {
  try {
    mkdirSync(folder);
    writeFileSync(owner, String(process.pid));
    return true;
  } catch {
    if (!isOwned()) rmSync(folder, { recursive: true, force: true });
    return false;
  }
}

/** A process that was killed ends no turn. */
function isOwned(): boolean {
  try {
    const pid = Number(readFileSync(owner, "utf8"));
    if (pid === 0) return true;
    process.kill(pid, 0);
    return true;
  } catch (cause) {
    // Between the folder and the file in it the turn is taken, too.
    return cause instanceof Error && "code" in cause && cause.code === "ENOENT";
  }
}
