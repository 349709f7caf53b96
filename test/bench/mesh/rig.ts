/** One server and the proxies that are connected to it. */
import type { Mesh } from "./meshes/mesh.ts";
import type { Condition } from "./proxies/expectation.ts";
import type { FleetLink } from "./proxies/fleet-link.ts";
import type { Variant } from "./proxies/types.ts";
import type { MeshObject, MeshServer } from "./servers/mesh-server.ts";

export interface Rig {
  readonly server: MeshServer;
  readonly fleet: FleetLink;
  /** Connects the proxies of a mesh; milliseconds until each had everything. */
  connect(mesh: Pick<Mesh, "groups">): Promise<readonly number[]>;
  /** Changes objects at the source; milliseconds from there until each proxy (of some groups) had what is expected. */
  change(objects: readonly MeshObject[], expected: Expected): Promise<readonly number[]>;
  stop(): Promise<void>;
}

export interface Expected {
  readonly conditions: readonly Condition[];
  /** Names of groups; all where not given. */
  readonly groups?: readonly string[];
}

/** Bounds every wait for a change; nothing is judged by it. */
const arrivalLimitMs = 300_000;

/** A server with proxies in a process that lives on: stop() lets go of them and ends the server. */
export function createRig(server: MeshServer, fleet: FleetLink, variant: Variant): Rig {
  let serial = 0;
  return {
    server,
    fleet,
    connect: ({ groups }) => fleet.connect({ address: server.address, variant, groups }),
    async change(objects, { conditions, groups }) {
      const id = `change ${++serial}`;
      await fleet.expect(id, conditions, groups);
      const [atMs, arrivals] = await Promise.all([server.write(objects), fleet.arrivals(id, arrivalLimitMs)]);
      return arrivals.map((arrival) => arrival - atMs);
    },
    async stop() {
      await fleet.close();
      await server.stop();
    },
  };
}
