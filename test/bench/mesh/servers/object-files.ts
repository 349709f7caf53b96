import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { nowMs } from "../proxies/simulated-proxy.ts";
import type { MeshObject } from "./mesh-server.ts";
import { formatObjects, keyOf } from "./object-texts.ts";

/** A directory of YAML files, one for each name: a service lies beside its endpoints and its routing. */
export class ObjectFiles {
  readonly #directory: string;
  readonly #files = new Map<string, Map<string, MeshObject>>();

  constructor(directory: string) {
    this.#directory = directory;
    mkdirSync(directory, { recursive: true });
  }

  /** Writes objects beside the others of their files; the milliseconds of process.hrtime just before. */
  write(objects: readonly MeshObject[]): number {
    const changed = new Map<string, Map<string, MeshObject>>();
    for (const object of objects) {
      const { namespace = "cluster", name } = object.metadata;
      const file = `${namespace}.${name}.yaml`;
      const content = this.#files.get(file) ?? new Map<string, MeshObject>();
      content.set(keyOf(object), object);
      this.#files.set(file, content);
      changed.set(file, content);
    }
    const atMs = nowMs();
    for (const [file, content] of changed) {
      const path = join(this.#directory, file);
      // As editors and tools do it: nobody sees half a file.
      writeFileSync(`${path}.tmp`, formatObjects([...content.values()]));
      renameSync(`${path}.tmp`, path);
    }
    return atMs;
  }
}
