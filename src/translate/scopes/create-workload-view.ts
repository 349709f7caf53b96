import { compareServices } from "../../model/service.ts";
import type { ScopeView, WorkloadKey, WorkloadView } from "../scope.ts";

/** The mesh as the inbound side of one workload sees it; targets of services that are gone meanwhile are left out. */
export function createWorkloadView(scope: ScopeView, key: WorkloadKey): WorkloadView {
  const targets = key.targets.flatMap((target) => {
    const service = scope.snapshot.services.find(target.hostname, target.namespace);
    const port = service?.ports.find((candidate) => candidate.number === target.port);
    if (service === undefined || port === undefined) return [];
    return [{ target, service, portName: port.name, protocol: port.protocol }];
  });
  return {
    scope,
    key,
    targets: targets.sort(
      (a, b) =>
        a.target.targetPort - b.target.targetPort || compareServices(a.service, b.service) || placeOf(a) - placeOf(b),
    ),
  };
}

/** Of several ports of a service that lead to one of the workload, the first that is written counts. */
function placeOf({ target, service }: WorkloadView["targets"][number]): number {
  return service.ports.findIndex(({ number }) => number === target.port);
}
