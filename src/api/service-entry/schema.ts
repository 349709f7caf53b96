/** ServiceEntry (networking.istio.io): a service that the registry does not know by itself. */
import type { Static } from "typebox";
import type { ApiObject } from "../object.ts";
import type { ServiceEntryStatus } from "../object-status.ts";
import {
  type DeepReadonly,
  exportTo,
  list,
  name,
  networkSelector,
  oneOf,
  optional,
  record,
  text,
  texts,
  uint32,
} from "../schema-fields.ts";
import { workloadEntrySchema } from "../workload-entry/schema.ts";

export const servicePortSchema = record(
  {
    number: uint32("Number of the service's port."),
    protocol: optional(
      text("HTTP, HTTPS, GRPC, GRPC-WEB, HTTP2, MONGO, TCP or TLS; found out by looking where not given."),
    ),
    name: name("Name of the port."),
    targetPort: optional(uint32("Port of the endpoints; the number where not given.")),
  },
  "A port of the service.",
);

export const serviceEntrySchema = record({
  hosts: texts("Hosts of the service; wildcards for resolution NONE and DYNAMIC_DNS only."),
  addresses: optional(texts("Virtual addresses of the service as IP or CIDR.")),
  ports: optional(list(servicePortSchema, "Ports of the service.")),
  location: optional(
    oneOf(
      ["MESH_EXTERNAL", "MESH_INTERNAL"],
      "Whether the service is part of the mesh; MESH_EXTERNAL where not given.",
    ),
  ),
  resolution: optional(
    oneOf(
      ["NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS"],
      "How the addresses of endpoints are found; NONE where not given.",
    ),
  ),
  endpoints: optional(list(workloadEntrySchema, "Endpoints of the service; not together with workloadSelector.")),
  workloadSelector: optional(
    networkSelector("Workloads of this namespace that are the endpoints (pods and WorkloadEntries)."),
  ),
  exportTo,
  subjectAltNames: optional(texts("Names, one of which the certificates of the endpoints must have.")),
});

export type ServiceEntrySpec = DeepReadonly<Static<typeof serviceEntrySchema>>;
export type ServiceEntry = ApiObject<"ServiceEntry", ServiceEntrySpec> & { readonly status?: ServiceEntryStatus };
export type ServiceEntryEndpoint = NonNullable<ServiceEntrySpec["endpoints"]>[number];
