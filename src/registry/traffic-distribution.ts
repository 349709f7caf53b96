import type { Namespace } from "../api/kubernetes/types.ts";
import type { Labels } from "../api/object.ts";
import { memoByIdentity } from "../lib/memo.ts";
import type { Service } from "../model/service.ts";

// On services, service entries and namespaces, for clusters whose services have no such field.
const trafficDistributionAnnotation = "networking.istio.io/traffic-distribution";

const distributions = ["PreferClose", "PreferSameZone", "PreferSameNode"] as const;

/** What may say how near endpoints should be, the strongest first. */
export interface DistributionSources {
  /** spec.trafficDistribution; only services of Kubernetes have it. */
  readonly field?: string | undefined;
  readonly annotations: Labels;
  /** Value of the namespace's annotation. */
  readonly ofNamespace: string | undefined;
}

/**
 * The field, else the own annotation, else that of the namespace (Istio: model/service.go GetTrafficDistribution). Case
 * does not count in annotations, and an unknown word there means "Any"; an unknown word in the field says nothing.
 */
export function deriveTrafficDistribution(sources: DistributionSources): NonNullable<Service["trafficDistribution"]> {
  const own = sources.annotations[trafficDistributionAnnotation] || sources.ofNamespace || "";
  return (
    distributions.find((name) => name === sources.field) ??
    distributions.find((name) => name.toLowerCase() === own.toLowerCase()) ??
    "Any"
  );
}

/** What annotations of namespaces say, by namespace; the same object for the same list. */
export const listTrafficDistributions: (namespaces: readonly Namespace[]) => Labels = memoByIdentity(
  (namespaces: readonly Namespace[]): Labels =>
    Object.fromEntries(
      namespaces.flatMap(({ meta }) => {
        const value = meta.annotations[trafficDistributionAnnotation];
        return value === undefined ? [] : [[meta.name, value]];
      }),
    ),
);
