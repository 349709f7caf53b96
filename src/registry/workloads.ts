import type { KubeNode, Pod } from "../api/kubernetes/types.ts";
import { type Labels, refOf } from "../api/object.ts";
import { type Locality, unknownLocality } from "../model/endpoint.ts";
import type { Workload } from "../model/workload.ts";
import {
  findStatedLocality,
  networkLabel,
  regionLabel,
  subzoneLabel,
  tlsModeLabel,
  zoneLabel,
} from "../model/workload-labels.ts";

const legacyRegionLabel = "failure-domain.beta.kubernetes.io/region";
const legacyZoneLabel = "failure-domain.beta.kubernetes.io/zone";

/** Name that a CronJob gives its Jobs: its own and the minute or second of the start. */
const cronJobRun = /^(.+)-\d{8,10}$/;

/**
 * Converts a pod. Locality is that of its node, unless the pod's label states one ("r1.z1" for r1/z1); the workload's name
 * is that of the deployment or cron job behind its owner, else its own (Istio: pkg/kube/labels and kube/controller).
 */
export function convertPod(pod: Pod, node: KubeNode | undefined, clusterId: string): Workload {
  const { meta, spec } = pod;
  return {
    name: meta.name,
    namespace: meta.namespace,
    addresses: spec.addresses,
    labels: meta.labels,
    serviceAccount: spec.serviceAccountName,
    workloadName: deriveWorkloadName(pod),
    locality: deriveLocality(meta.labels, node?.meta.labels ?? {}),
    network: meta.labels[networkLabel] ?? "",
    nodeName: spec.nodeName ?? "",
    object: refOf(pod),
    tlsMode: meta.labels[tlsModeLabel] ?? "disabled",
    ports: Object.fromEntries(
      spec.ports.flatMap((port) => (port.name === undefined ? [] : [[port.name, port.containerPort]])),
    ),
    clusterId,
    hostName: spec.hostname ?? "",
    subDomain: spec.subdomain ?? "",
    ready: spec.ready,
  };
}

/** The locality that a label states ("r1.z1.s1", dots because labels take no slash), or the node's. */
export function deriveLocality(labels: Labels, nodeLabels: Labels): Locality {
  const stated = findStatedLocality(labels);
  if (stated !== undefined) return stated;
  const region = nodeLabels[regionLabel] ?? nodeLabels[legacyRegionLabel] ?? "";
  const zone = nodeLabels[zoneLabel] ?? nodeLabels[legacyZoneLabel] ?? "";
  const subzone = nodeLabels[subzoneLabel] ?? "";
  return region === "" && zone === "" && subzone === "" ? unknownLocality : { region, zone, subzone };
}

function deriveWorkloadName({ meta, spec }: Pod): string {
  const owner = spec.owner;
  if (owner === undefined || owner.name === "") return meta.name;
  if (owner.kind === "ReplicaSet") {
    const hash = meta.labels["pod-template-hash"];
    return hash !== undefined && owner.name.endsWith(`-${hash}`) ? owner.name.slice(0, -hash.length - 1) : owner.name;
  }
  if (owner.kind === "Job") return cronJobRun.exec(owner.name)?.[1] ?? owner.name;
  return owner.name;
}
