/** WorkloadGroup (networking.istio.io): what workloads outside of Kubernetes have in common, and how they are probed. */
import type { Static } from "typebox";
import type { ApiObject } from "../object.ts";
import { type DeepReadonly, int32, labels, list, optional, record, text, texts, uint32 } from "../schema-fields.ts";
import { workloadEntrySchema } from "../workload-entry/schema.ts";

export const readinessProbeSchema = record(
  {
    initialDelaySeconds: optional(int32("Seconds to wait before the first probe.")),
    timeoutSeconds: optional(int32("Seconds that a probe may take; 1 where not given.")),
    periodSeconds: optional(int32("Seconds between probes; 10 where not given.")),
    successThreshold: optional(int32("Good probes in a row that make a workload ready; 1 where not given.")),
    failureThreshold: optional(int32("Bad probes in a row that make a workload unready; 3 where not given.")),
    httpGet: optional(
      record(
        {
          path: optional(text("Path of the request.")),
          port: optional(uint32("Port of the workload.")),
          host: optional(text("Host to connect to; the workload's own address where not given.")),
          scheme: optional(text("HTTP or HTTPS; HTTP where not given.")),
          httpHeaders: optional(
            list(
              record({
                name: optional(text('Name of the header: letters, digits and "-".')),
                value: optional(text("Its value.")),
              }),
              "Headers of the request.",
            ),
          ),
        },
        "Ready where a request is answered with success.",
      ),
    ),
    tcpSocket: optional(
      record(
        { host: optional(text("Host to connect to; localhost where not given.")), port: optional(uint32("Port.")) },
        "Ready where a connection can be made.",
      ),
    ),
    exec: optional(
      record({ command: optional(texts("The command and its arguments.")) }, "Ready where a command exits with 0."),
    ),
    grpc: optional(
      record(
        { port: optional(uint32("Port.")), service: optional(text("Service to ask about.")) },
        "Ready where the health service of gRPC says so; istiod's webhook refuses it.",
      ),
    ),
  },
  "How to find out that a workload is ready; one of httpGet, tcpSocket, exec.",
);

export const workloadGroupSchema = record({
  metadata: optional(
    record(
      {
        labels: optional(labels("Labels of the workloads.")),
        annotations: optional(labels("Annotations of the workloads.")),
      },
      "Metadata that each WorkloadEntry of the group gets.",
    ),
  ),
  template: record(
    workloadEntrySchema.properties,
    "What each WorkloadEntry of the group gets; address and labels come from elsewhere.",
  ),
  probe: optional(readinessProbeSchema),
});

export type ReadinessProbe = DeepReadonly<Static<typeof readinessProbeSchema>>;
export type WorkloadGroupSpec = DeepReadonly<Static<typeof workloadGroupSchema>>;
export type WorkloadGroup = ApiObject<"WorkloadGroup", WorkloadGroupSpec>;
