/** Labels and annotations that templates give to pods. */
import type { Labels } from "../../api/object.ts";
import type { PlainObject } from "../../api/plain-value.ts";
import { annotation, container, label } from "../annotation-names.ts";
import { defined, nameOf } from "../pod-fields.ts";
import type { TemplateData } from "./template-data.ts";

const longestLabel = 63;

/**
 * The labels of the canonical service: said by the pod, else by Kubernetes' recommended label, else by `app` or `version`,
 * else the workload's name, or "latest".
 */
export function canonicalLabels({ labels, owner }: TemplateData): Labels {
  const name = firstSaid(labels, [label.canonicalName, "app.kubernetes.io/name", "app"]) ?? owner.name;
  const revision = firstSaid(labels, [label.canonicalRevision, "app.kubernetes.io/version", "version"]) ?? "latest";
  return {
    // Names of workloads can be longer than values of labels.
    [label.canonicalName]: name.slice(0, longestLabel).replaceAll(/^[-_.]+|[-_.]+$/g, ""),
    [label.canonicalRevision]: revision,
  };
}

function firstSaid(labels: Labels, names: readonly string[]): string | undefined {
  return names.map((name) => labels[name]).find((value) => value !== undefined && value !== "");
}

export const appContainers = ({ containers }: TemplateData): readonly string[] =>
  containers.map(nameOf).filter((name) => name !== container.proxy);

/** The revision, and for kubectl the container that is not the proxy's. */
export function commonAnnotations(data: TemplateData): PlainObject {
  const [first] = appContainers(data);
  const unlessSaid = (name: string) => (data.annotations[name] === undefined ? first : undefined);
  return defined({
    [annotation.revision]: data.revision === "" ? "default" : data.revision,
    [annotation.defaultLogsContainer]: unlessSaid(annotation.defaultLogsContainer),
    [annotation.defaultContainer]: unlessSaid(annotation.defaultContainer),
  });
}
