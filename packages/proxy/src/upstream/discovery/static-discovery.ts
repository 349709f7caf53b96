/** STATIC: the hosts are in the cluster itself. */
import { within } from "../../lib/config-error.ts";
import { compileAssignment } from "../hosts/endpoint-plan.ts";
import type { CompileDiscovery } from "./discovery.ts";

export const compileStatic: CompileDiscovery = (cluster) => {
  const plan = within("load_assignment", () => compileAssignment(cluster.load_assignment ?? {}, "refused"));
  return ({ members }) => {
    members.update(plan);
    return { ready: Promise.resolve(), dropOverloads: plan.dropOverloads, close: () => undefined };
  };
};
