import { measure } from "../measure.ts";
import { buildPlainMesh } from "../meshes/plain-mesh.ts";
import type { Scenario } from "./scenario.ts";

export const connectStorm: Scenario = {
  name: "storm",
  title: "connect storm",
  buildMesh: buildPlainMesh,
  needsOwnServer: false,
  // The proxies of every scenario connect all at once; here that is what counts.
  async run({ storm, rig }) {
    const { readyMs } = rig.server;
    const { heapBytes } = await rig.server.memory();
    return {
      ...storm,
      ...(heapBytes === undefined ? {} : { heapBytes }),
      ...(readyMs === undefined ? {} : { readyMs }),
    };
  },
};

export const reconnectStorm: Scenario = {
  name: "reconnect",
  title: "reconnect storm",
  buildMesh: buildPlainMesh,
  needsOwnServer: false,
  run: ({ rig }) => measure(rig, () => rig.fleet.cut()),
};
