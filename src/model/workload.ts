import type { Labels } from "../api/object.ts";
import type { ObjectRef } from "../lib/message.ts";
import type { Locality } from "./endpoint.ts";

/** A pod or a workload entry: something that runs behind a proxy. */
export interface Workload {
  readonly name: string;
  readonly namespace: string;
  readonly addresses: readonly string[];
  readonly labels: Labels;
  readonly serviceAccount: string;
  /** Name of the controller (deployment) as telemetry shows it. */
  readonly workloadName: string;
  readonly locality: Locality;
  readonly network: string;
  readonly nodeName: string;
  readonly object: ObjectRef;
}

/** One port on which a workload serves one service: what inbound listeners and clusters are built from. */
export interface ServiceTarget {
  readonly hostname: string;
  readonly namespace: string;
  /** Number of the service's port. */
  readonly port: number;
  /** Port on which the workload itself listens. */
  readonly targetPort: number;
}
