import type { Message } from "../../lib/message.ts";
import type { ConfigMap } from "../kubernetes/types.ts";
import { refOf } from "../object.ts";
import { defaultMeshConfig } from "./defaults.ts";
import { parseMeshConfig } from "./parse.ts";
import type { MeshConfig } from "./schema.ts";

/** Key of a ConfigMap that holds the mesh configuration. */
const meshKey = "mesh";

export interface MeshLayers {
  /** Laid over the defaults first (Istio: SHARED_MESH_CONFIG). */
  readonly shared: ConfigMap | undefined;
  /** Laid over that: what it says counts. */
  readonly own: ConfigMap | undefined;
}

export interface LayeredMesh {
  /** Without the layers that have errors. */
  readonly mesh: MeshConfig;
  readonly messages: readonly Message[];
  readonly hasErrors: boolean;
}

/** Lays the mesh configurations of ConfigMaps over each other; an absent object or key says nothing. */
export function layerMeshConfigs({ shared, own }: MeshLayers, below: MeshConfig = defaultMeshConfig): LayeredMesh {
  let result: LayeredMesh = { mesh: below, messages: [], hasErrors: false };
  for (const object of [shared, own]) {
    const text = object?.spec.data[meshKey];
    if (object === undefined || text === undefined) continue;
    const { mesh, messages } = parseMeshConfig(text, { below: result.mesh, object: refOf(object) });
    result = {
      mesh: mesh ?? result.mesh,
      messages: [...result.messages, ...messages],
      hasErrors: result.hasErrors || mesh === undefined,
    };
  }
  return result;
}
