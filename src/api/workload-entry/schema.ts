/** WorkloadEntry (networking.istio.io): one workload outside of Kubernetes, such as a virtual machine. */
import type { Static } from "typebox";
import type { ApiObject } from "../object.ts";
import type { WorkloadEntryStatus } from "../object-status.ts";
import { type DeepReadonly, labels, map, optional, record, text, uint32 } from "../schema-fields.ts";

export const workloadEntrySchema = record({
  address: optional(text("IP address, DNS name (for services resolved by DNS) or unix:///path.")),
  ports: optional(
    map(
      uint32("Port of the workload."),
      "Ports of the workload by the service's port names; the service's numbers where not given.",
    ),
  ),
  labels: optional(labels("Labels of the workload.")),
  network: optional(text("Network that the address belongs to.")),
  locality: optional(text('Locality as "region/zone/subzone".')),
  weight: optional(uint32("Share of the traffic, relative to the other endpoints.")),
  serviceAccount: optional(text("Service account of the workload, in this object's namespace.")),
});

export type WorkloadEntrySpec = DeepReadonly<Static<typeof workloadEntrySchema>>;
export type WorkloadEntry = ApiObject<"WorkloadEntry", WorkloadEntrySpec> & { readonly status?: WorkloadEntryStatus };
