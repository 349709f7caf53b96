import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { GivenOptions } from "../../../../src/config/flags.ts";
import { startForkedServer } from "./forked-server.ts";
import type { MeshObject, MeshServer } from "./mesh-server.ts";
import { ObjectFiles } from "./object-files.ts";

/** A control plane over a directory of YAML files that the bench writes. */
export async function startFileServer(mesh: readonly MeshObject[], options: GivenOptions): Promise<MeshServer> {
  const directory = mkdtempSync(join(tmpdir(), "meltemi-bench-"));
  const remove = (): void => {
    process.off("exit", remove);
    rmSync(directory, { recursive: true, force: true });
  };
  process.once("exit", remove);
  try {
    const files = new ObjectFiles(directory);
    files.write(mesh);
    const server = await startForkedServer({ options: { ...options, configDir: directory } });
    return {
      ...server,
      write: async (objects) => files.write(objects),
      async stop() {
        await server.stop();
        remove();
      },
    };
  } catch (cause) {
    remove();
    throw cause;
  }
}
