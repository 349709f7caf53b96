import { layerMeshConfigs, type MeshLayers } from "../api/mesh-config/layers.ts";
import { type MeshNetworks, parseMeshNetworks } from "../api/mesh-config/networks.ts";
import type { MeshConfig } from "../api/mesh-config/schema.ts";
import { refOf } from "../api/object.ts";
import type { Message } from "../lib/message.ts";
import { keepIfEqual } from "./is-deep-equal.ts";

/** Key of a ConfigMap that holds the networks of the mesh. */
const networksKey = "meshNetworks";

export interface MeshSettings {
  readonly config: MeshConfig;
  readonly networks: MeshNetworks;
  /** What is wrong with the texts that they were read from. */
  readonly problems: readonly Message[];
}

/**
 * Reads the mesh's settings from its ConfigMaps, laid over `below`. Where they are not there, or have no such key, `below`
 * holds, also where there was one before: a replica that starts then has nothing else, and all must say the same (istiod
 * does so, too). A text with errors leaves the settings of before in force. Settings that read the same are the same
 * object.
 */
export function readMeshSettings(layers: MeshLayers, before: MeshSettings, below: MeshConfig): MeshSettings {
  const { mesh, messages, hasErrors } = layerMeshConfigs(layers, below);
  const networks = readNetworks(layers, before.networks);
  return {
    config: hasErrors ? before.config : keepIfEqual(before.config, mesh),
    networks: keepIfEqual(before.networks, networks.value),
    problems: [...messages, ...networks.problems],
  };
}

interface ReadNetworks {
  readonly value: MeshNetworks;
  readonly problems: readonly Message[];
}

function readNetworks({ shared, own }: MeshLayers, before: MeshNetworks): ReadNetworks {
  const object = [own, shared].find((layer) => layer?.spec.data[networksKey] !== undefined);
  if (object === undefined) return { value: {}, problems: [] };
  const { networks, messages } = parseMeshNetworks(object.spec.data[networksKey], refOf(object));
  return { value: networks ?? before, problems: messages };
}
