import type { GivenOptions } from "../../../../src/config/flags.ts";
import { startForkedServer } from "./forked-server.ts";
import type { MeshObject, MeshServer } from "./mesh-server.ts";
import { formatObjects } from "./object-texts.ts";

/** A control plane whose mesh is handed to it by the bench. */
export async function startMemoryServer(mesh: readonly MeshObject[], options: GivenOptions): Promise<MeshServer> {
  const server = await startForkedServer({ options, content: formatObjects(mesh) });
  return { ...server, write: (objects) => server.apply(formatObjects(objects)) };
}
