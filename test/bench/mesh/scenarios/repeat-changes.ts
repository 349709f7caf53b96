import { setTimeout as sleep } from "node:timers/promises";
import { type Figures, medianFigures } from "../figures.ts";
import { measure } from "../measure.ts";
import type { Expected } from "../rig.ts";
import type { MeshObject } from "../servers/mesh-server.ts";
import type { ScenarioContext } from "./scenario.ts";

export interface Change extends Expected {
  readonly objects: readonly MeshObject[];
}

/** On a quiet mesh a change goes out at once: the next one must not be the second of a burst. */
const pauseMs = 150;

/** One change after the other, each measured; the median of each figure. */
export async function repeatChanges(
  { rig, pace, nextSerial }: ScenarioContext,
  build: (serial: number) => Change,
): Promise<Figures> {
  const all: Figures[] = [];
  for (let index = 0; index < pace.changes; index += 1) {
    const { objects, ...expected } = build(nextSerial());
    all.push(await measure(rig, () => rig.change(objects, expected)));
    await sleep(pauseMs);
  }
  return medianFigures(all);
}
