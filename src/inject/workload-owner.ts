import type { Labels } from "../api/object.ts";
import type { PlainObject } from "../api/plain-value.ts";
import { listField, objectField, textField } from "./pod-fields.ts";

/** The workload that a pod belongs to, such as its Deployment. */
export interface WorkloadOwner {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly namespace: string;
}

/** The end of the name of a CronJob's Job: a time in minutes or seconds. */
const cronJobName = /^(.+)-\d{8,10}$/;

/** Labels that controllers of ReplicaSets put on pods, and what they stand for. */
const hashLabels: readonly { readonly label: string; readonly kind: string; readonly apiVersion?: string }[] = [
  { label: "pod-template-hash", kind: "Deployment" },
  // As Istio writes it, without a group.
  { label: "rollouts-pod-template-hash", kind: "Rollout", apiVersion: "v1alpha1" },
];

/**
 * Guesses the workload from the controller that a pod names, as Istio does (pkg/kube/util.go, GetDeployMetaFromPod): a
 * Deployment from its ReplicaSet, a CronJob from its Job, a DeploymentConfig from its ReplicationController; otherwise
 * the controller itself. A pod that has a name of its own is its own workload.
 */
export function deriveOwner(pod: PlainObject, namespace: string, labels: Labels): WorkloadOwner {
  const metadata = objectField(pod, "metadata");
  const self = { apiVersion: "v1", kind: "Pod", name: textField(metadata, "name"), namespace };
  if (textField(metadata, "generateName") === "") return self;
  const controller = listField(metadata, "ownerReferences").find((reference) => reference["controller"] === true);
  if (controller === undefined) return self;
  const named = {
    apiVersion: textField(controller, "apiVersion"),
    kind: textField(controller, "kind"),
    name: textField(controller, "name"),
    namespace,
  };
  switch (named.kind) {
    case "ReplicaSet":
      return ownerOfReplicaSet(named, labels);
    case "ReplicationController": {
      const config = labels["deploymentconfig"] ?? "";
      return config === "" ? named : { ...named, kind: "DeploymentConfig", name: config };
    }
    case "Job": {
      const [, name] = cronJobName.exec(named.name) ?? [];
      return name === undefined ? named : { ...named, kind: "CronJob", name, apiVersion: "batch/v1" };
    }
    default:
      return named;
  }
}

function ownerOfReplicaSet(replicaSet: WorkloadOwner, labels: Labels): WorkloadOwner {
  for (const { label, kind, apiVersion = replicaSet.apiVersion } of hashLabels) {
    const hash = labels[label] ?? "";
    if (hash === "" || !replicaSet.name.endsWith(hash)) continue;
    const end = `-${hash}`;
    const name = replicaSet.name.endsWith(end) ? replicaSet.name.slice(0, -end.length) : replicaSet.name;
    return { ...replicaSet, name, kind, apiVersion };
  }
  return replicaSet;
}
