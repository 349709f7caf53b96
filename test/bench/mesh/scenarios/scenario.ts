import type { Figures } from "../figures.ts";
import type { Mesh, MeshSize } from "../meshes/mesh.ts";
import type { Rig } from "../rig.ts";

/** How long and how often; sizes are those of the mesh. */
export interface Pace {
  /** Changes of a scenario of single changes, one after the other; the medians count. */
  readonly changes: number;
  readonly churnSeconds: number;
  /**
   * Time without a change before the memory of churn is read, in milliseconds. V8 gives back what it took in a hurry when
   * there is time for it.
   */
  readonly restMs: number;
  /** Longest wait for the server to end streams that are not read. */
  readonly stallLimitMs: number;
}

export interface ScenarioContext {
  readonly rig: Rig;
  readonly size: MeshSize;
  readonly mesh: Mesh;
  readonly pace: Pace;
  /** Milliseconds that each proxy needed when all connected for the first time, with what that cost. */
  readonly storm: Figures;
  readonly progress: (text: string) => void;
  /** A number that no change of this server has had. */
  nextSerial(): number;
}

export interface Scenario {
  /** As it is picked on the command line. */
  readonly name: string;
  readonly title: string;
  readonly buildMesh: (size: MeshSize) => Mesh;
  /** True where nothing else may run on the same server before or after. */
  readonly needsOwnServer: boolean;
  readonly run: (context: ScenarioContext) => Promise<Figures>;
}
