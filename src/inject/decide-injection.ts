import { type LabelSelector, matchesSelector } from "../api/label-selector.ts";
import type { Labels } from "../api/object.ts";
import { annotation, label } from "./annotation-names.ts";
import type { InjectionConfig } from "./injection-config.ts";

/** Why a pod is left alone, in the words of a log or of a person at the command line. */
export type SkipReason =
  | "it uses the network of its host"
  | "its namespace belongs to the system"
  | "its label sidecar.istio.io/inject says no"
  | "its annotation sidecar.istio.io/inject says no"
  | "its labels match neverInjectSelector"
  | "the policy is not to inject";

export interface Candidate {
  readonly namespace: string;
  readonly labels: Labels;
  readonly annotations: Labels;
  readonly hasHostNetwork: boolean;
}

/** Namespaces of Kubernetes itself, where no pod may wait for a webhook. */
const systemNamespaces: ReadonlySet<string> = new Set([
  "kube-system",
  "kube-public",
  "kube-node-lease",
  "local-path-storage",
]);

type SelectionRules = Pick<InjectionConfig, "policy" | "neverInjectSelector" | "alwaysInjectSelector">;

/**
 * Says why a pod is not injected; undefined where it is. In Istio's order (pkg/kube/inject, injectRequired): host network,
 * system namespaces, what the pod says (its label beats its annotation; other words than true and false say nothing),
 * selectors, policy.
 */
export function findSkipReason(candidate: Candidate, config: SelectionRules): SkipReason | undefined {
  // Redirection would be that of the node.
  if (candidate.hasHostNetwork) return "it uses the network of its host";
  if (systemNamespaces.has(candidate.namespace)) return "its namespace belongs to the system";
  const byLabel = candidate.labels[label.inject];
  const said = byLabel ?? candidate.annotations[annotation.inject];
  if (said === "true") return undefined;
  if (said === "false") {
    return byLabel === undefined
      ? "its annotation sidecar.istio.io/inject says no"
      : "its label sidecar.istio.io/inject says no";
  }
  const matches = (selector: LabelSelector) => matchesSelector(selector, candidate.labels);
  if (config.neverInjectSelector.some(matches)) return "its labels match neverInjectSelector";
  if (config.alwaysInjectSelector.some(matches)) return undefined;
  return config.policy === "enabled" ? undefined : "the policy is not to inject";
}
