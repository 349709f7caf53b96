import { isIP } from "node:net";
import { refOf } from "../api/object.ts";
import { isServing } from "../api/object-status.ts";
import type { WorkloadEntry } from "../api/workload-entry/schema.ts";
import type { Endpoint } from "../model/endpoint.ts";
import type { Service } from "../model/service.ts";
import { findWorkloadPort, type Workload } from "../model/workload.ts";
import { deriveStatedLocality, networkLabel, tlsModeLabel } from "../model/workload-labels.ts";
import { convertWorkloadEndpoint } from "./service-entries.ts";

const groupAnnotation = "istio.io/autoRegistrationGroup";
const workloadNameLabel = "service.istio.io/workload-name";

/**
 * Converts a WorkloadEntry. Labels of the object itself win over those of its spec; who names an account takes mutual TLS
 * unless a label says otherwise. Telemetry calls it by the group that it registered with (Istio: serviceentry/conversion.go).
 */
export function convertWorkloadEntry(entry: WorkloadEntry, clusterId: string): Workload {
  const { meta, spec } = entry;
  const labels = { ...spec.labels, ...meta.labels };
  const serviceAccount = spec.serviceAccount ?? "";
  return {
    name: meta.name,
    namespace: meta.namespace,
    addresses: (spec.address ?? "") === "" ? [] : [spec.address ?? ""],
    labels,
    serviceAccount,
    workloadName: meta.annotations[groupAnnotation] ?? meta.labels[workloadNameLabel] ?? meta.name,
    locality: deriveStatedLocality(spec.locality, labels),
    network: spec.network || labels[networkLabel] || "",
    nodeName: "",
    object: refOf(entry),
    tlsMode: labels[tlsModeLabel] ?? (serviceAccount === "" ? "disabled" : "istio"),
    ports: spec.ports ?? {},
    weight: spec.weight ?? 0,
    clusterId,
    ...(!isServing(meta.annotations, entry.status) && { ready: false }),
  };
}

/**
 * Endpoints that selected workload entries give to a Kubernetes service: only those with an IP address, or known by their
 * network alone. A numeric target port may be replaced by the entry's port of the service port's name; a named one must be
 * in the entry's map, otherwise the entry does not serve it.
 */
export function deriveSelectedEndpoints(
  service: Service,
  selected: readonly Workload[],
  clusterId: string,
): readonly Endpoint[] {
  return selected.flatMap((workload) => {
    const address = workload.addresses[0] ?? "";
    if (address === "" ? workload.network === "" : isIP(address) === 0) return [];
    return service.ports.flatMap((port) => {
      const number = findWorkloadPort(workload, port);
      if (number === undefined) return [];
      const at = { address, port: number, servicePortName: port.name };
      return [convertWorkloadEndpoint(workload, at, clusterId)];
    });
  });
}
