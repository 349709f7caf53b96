import type { MeshObject } from "./mesh-server.ts";

/** JSON is YAML; one document for each object. */
export function formatObjects(objects: readonly MeshObject[]): string {
  return objects.map((object) => JSON.stringify(object)).join("\n---\n");
}

export function keyOf({ kind, metadata }: MeshObject): string {
  return `${kind}/${metadata.namespace ?? ""}/${metadata.name}`;
}
