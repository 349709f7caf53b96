import type { Labels } from "../api/object.ts";
import { findOwn } from "../lib/find-own.ts";
import type { ObjectRef } from "../lib/message.ts";
import type { Locality } from "./endpoint.ts";
import type { ServicePort } from "./service.ts";

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
  /** "istio" where it takes mutual TLS, otherwise "disabled"; derived from its label and account. */
  readonly tlsMode?: string;
  /** Named ports: of the containers of a pod, or the port map of a workload entry. */
  readonly ports?: { readonly [name: string]: number };
  /** 0 or absent: none was given. */
  readonly weight?: number;
  readonly clusterId?: string;
  /** Of a pod with an own DNS name. */
  readonly hostName?: string;
  readonly subDomain?: string;
  /** False while a pod is not ready or a workload entry was reported unhealthy; absent means true. */
  readonly ready?: boolean;
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

/** Port on which a workload serves a port of a Kubernetes service; undefined where it has none of the target's name. */
export function findWorkloadPort(workload: Workload, port: ServicePort): number | undefined {
  const ports = workload.ports ?? {};
  if (typeof port.targetPort === "string") return findOwn(ports, port.targetPort);
  const stated = workload.object.kind === "WorkloadEntry" ? findOwn(ports, port.name) : undefined;
  return stated ?? (port.targetPort || port.number);
}
