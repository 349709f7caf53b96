import type { ConfigMap } from "../api/kubernetes/types.ts";
import { parseMeshConfig } from "../api/mesh-config/parse.ts";
import type { MeshConfig } from "../api/mesh-config/schema.ts";
import { refOf } from "../api/object.ts";
import type { Message } from "../lib/message.ts";
import { keepIfEqual } from "./is-deep-equal.ts";

export interface MeshSettings {
  readonly config: MeshConfig;
  /** What is wrong with the text that they were read from. */
  readonly problems: readonly Message[];
}

/**
 * Reads the mesh's settings from key `mesh` of a ConfigMap, laid over `below`. Without the object or its key `below` holds;
 * a text with errors leaves the settings of before in force. Settings that read the same are the same object.
 */
export function readMeshSettings(object: ConfigMap | undefined, before: MeshSettings, below: MeshConfig): MeshSettings {
  const text = object?.spec.data["mesh"];
  if (object === undefined || text === undefined) return { config: keepIfEqual(before.config, below), problems: [] };
  const { mesh, messages } = parseMeshConfig(text, { below, object: refOf(object) });
  return { config: keepIfEqual(before.config, mesh ?? before.config), problems: messages };
}
