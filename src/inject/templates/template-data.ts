/** What templates are made from: row for row the data of Istio's templates (pkg/kube/inject, SidecarTemplateData). */
import type { MeshConfig, ProxyConfig } from "../../api/mesh-config/schema.ts";
import type { Labels } from "../../api/object.ts";
import type { PlainObject } from "../../api/plain-value.ts";
import type { InjectionValues } from "../injection-values.ts";
import type { ProxyIds } from "../proxy-ids.ts";
import type { WorkloadOwner } from "../workload-owner.ts";

export interface TemplateData {
  readonly owner: WorkloadOwner;
  /** Name of the pod, "" where the API server will make one. */
  readonly podName: string;
  readonly namespace: string;
  readonly labels: Labels;
  readonly annotations: Labels;
  readonly serviceAccount: string;
  /** The application's containers, and last a proxy container of the pod's own. Without what was injected before. */
  readonly containers: readonly PlainObject[];
  /** The mesh's default with ProxyConfig objects and the pod's annotation laid over it. */
  readonly proxyConfig: ProxyConfig;
  readonly mesh: MeshConfig;
  readonly values: InjectionValues;
  readonly revision: string;
  readonly isNative: boolean;
  readonly proxyImage: string;
  readonly initImage: string;
  readonly ids: ProxyIds;
  readonly isInboundLocal: boolean;
  readonly compliancePolicy: string;
}

/** Makes what is laid over the pod. */
export type Template = (data: TemplateData) => PlainObject;
