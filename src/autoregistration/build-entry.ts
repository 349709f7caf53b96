import { healthChecksAnnotation } from "../api/object-status.ts";
import type { WorkloadEntrySpec } from "../api/workload-entry/schema.ts";
import type { WorkloadGroup } from "../api/workload-group/schema.ts";
import { formatLocality } from "../model/endpoint.ts";
import { parseLabels } from "../model/node.ts";
import type { Proxy as MeshProxy } from "../model/proxy.ts";
import type { Registration } from "./registration.ts";

/** Annotation with the name of the group that an entry was made from. */
export const groupAnnotation = "istio.io/autoRegistrationGroup";
/** Label by which a proxy says where it is; the entry has a field for it, and "/" cannot stand in a label. */
const localityLabel = "istio-locality";

/** An entry that is to be made, in the form of the API. */
export interface EntryDraft {
  readonly apiVersion: string;
  readonly kind: "WorkloadEntry";
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly labels: { readonly [name: string]: string };
    readonly annotations: { readonly [name: string]: string };
    /** The group: whoever deletes it deletes its entries. */
    readonly ownerReferences?: readonly object[];
  };
  readonly spec: WorkloadEntrySpec;
}

/**
 * The entry of a proxy by its group (Istio: workloadEntryFromGroup). Labels of the proxy win over those of the group's
 * metadata, and these over the template's; address, network and locality are those of the proxy, as far as it says them.
 */
export function buildEntry({ name, namespace }: Registration, proxy: MeshProxy, group: WorkloadGroup): EntryDraft {
  const { metadata, template } = group.spec;
  const { [localityLabel]: _, ...ownLabels } = parseLabels(proxy.metadata["LABELS"]);
  const labels = { ...template.labels, ...metadata?.labels, ...ownLabels };
  const locality = formatLocality(proxy.locality);
  const { uid } = group.meta;
  const owner = { apiVersion: group.apiVersion, kind: group.kind, name: group.meta.name, uid, controller: true };
  return {
    apiVersion: group.apiVersion,
    kind: "WorkloadEntry",
    metadata: {
      name,
      namespace,
      labels,
      annotations: {
        [groupAnnotation]: group.meta.name,
        ...metadata?.annotations,
        // An agent that probes says so: such an entry is served once it is known to be well.
        ...(proxy.config?.readinessProbe === undefined ? {} : { [healthChecksAnnotation]: "true" }),
      },
      ...(uid === undefined ? {} : { ownerReferences: [owner] }),
    },
    spec: {
      ...template,
      address: proxy.addresses[0] ?? "",
      ...(Object.keys(labels).length === 0 ? {} : { labels }),
      ...(proxy.network === "" ? {} : { network: proxy.network }),
      ...(locality === "" ? {} : { locality }),
    },
  };
}
