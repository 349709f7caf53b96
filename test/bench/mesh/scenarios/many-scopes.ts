import { setTimeout as sleep } from "node:timers/promises";
import { type Figures, medianFigures } from "../figures.ts";
import { observe, sum } from "../measure.ts";
import { listAddresses } from "../meshes/plain-mesh.ts";
import { buildScopedMesh, countScopes, importersOf } from "../meshes/scoped-mesh.ts";
import { changeEndpoints, changeRoute } from "./changes.ts";
import type { Change } from "./repeat-changes.ts";
import type { Scenario, ScenarioContext } from "./scenario.ts";

const pauseMs = 150;

/** Endpoints of a service that the proxies of two namespaces import: what these get, and what all others do. */
export const scopedEndpoints: Scenario = {
  ...{ name: "scopes", title: "many scopes, endpoint change", buildMesh: buildScopedMesh, needsOwnServer: false },
  run: (context) => repeatTurns(context, true),
};

/** The same with its routes. */
export const scopedRoutes: Scenario = {
  ...{ name: "scopes-route", title: "many scopes, VirtualService change", buildMesh: buildScopedMesh },
  needsOwnServer: false,
  run: (context) => repeatTurns(context, false),
};

async function repeatTurns(context: ScenarioContext, isEndpoint: boolean): Promise<Figures> {
  const all: Figures[] = [];
  let bytesElsewhere = 0;
  for (let index = 0; index < context.pace.changes; index += 1) {
    const { change, importers } = buildTurn(context, isEndpoint);
    const { figures, bytes } = await observe(context.rig, () => context.rig.change(change.objects, change));
    bytesElsewhere += sum(bytes) - importers.reduce((total, name) => total + (bytes[name] ?? 0), 0);
    all.push(figures);
    await sleep(pauseMs);
  }
  return { ...medianFigures(all), bytesElsewhere };
}

function buildTurn(
  { mesh: { services }, size, nextSerial }: ScenarioContext,
  isEndpoint: boolean,
): { readonly change: Change; readonly importers: readonly string[] } {
  const serial = nextSerial();
  const index = serial % services.length;
  const service = services[index];
  if (service === undefined) throw new Error("a mesh without services cannot change");
  const importers = importersOf(index % countScopes(size), size);
  const change = isEndpoint
    ? changeEndpoints(service, listAddresses(index, size.endpoints), serial)
    : changeRoute(service, serial);
  return { change: { ...change, groups: importers }, importers };
}
