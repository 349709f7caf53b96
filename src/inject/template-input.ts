/** Gathers the data of templates from a pod and what the mesh says. */
import type { MeshConfig, ProxyConfig } from "../api/mesh-config/schema.ts";
import type { Labels } from "../api/object.ts";
import type { PlainObject } from "../api/plain-value.ts";
import { annotation, container } from "./annotation-names.ts";
import { parseFlag } from "./annotation-rules.ts";
import type { InjectionConfig } from "./injection-config.ts";
import type { InjectionRecord } from "./injection-record.ts";
import { findProxy, type PodDraft } from "./pod-draft.ts";
import { nameOf, objectField, textField } from "./pod-fields.ts";
import { deriveProxyIds } from "./proxy-ids.ts";
import { buildInitImage, buildProxyImage } from "./proxy-image.ts";
import type { TemplateData } from "./templates/template-data.ts";
import type { WorkloadOwner } from "./workload-owner.ts";

export interface TemplateSources {
  readonly podNamespace: string;
  readonly owner: WorkloadOwner;
  readonly proxyConfig: ProxyConfig;
  readonly record: InjectionRecord;
  readonly config: InjectionConfig;
  readonly mesh: MeshConfig;
  readonly revision: string;
  readonly hasNativeSidecars: boolean;
  readonly openShiftNamespace?: { readonly annotations: Labels };
  readonly compliancePolicy?: string;
}

export function deriveTemplateData(draft: PodDraft, sources: TemplateSources): TemplateData {
  const { labels, annotations, pod } = draft;
  const { values } = sources.config;
  const spec = objectField(pod, "spec");
  const containers = ownContainers(draft, sources.record);
  return {
    owner: sources.owner,
    podName: textField(objectField(pod, "metadata"), "name"),
    namespace: sources.podNamespace,
    labels,
    annotations,
    serviceAccount: textField(spec, "serviceAccountName"),
    containers,
    proxyConfig: sources.proxyConfig,
    mesh: sources.mesh,
    values,
    revision: sources.revision,
    isNative: isNative(draft, sources),
    proxyImage: buildProxyImage({ values, annotations }, sources.proxyConfig),
    initImage: buildInitImage({ values, annotations }),
    ids: deriveProxyIds(sources.openShiftNamespace?.annotations),
    isInboundLocal: sources.mesh.inboundTrafficPolicy.mode === "LOCALHOST",
    compliancePolicy: sources.compliancePolicy ?? "",
  };
}

/** Said by the pod, else by the cluster. A pod of nothing but a proxy keeps it as the one container that a pod must have. */
function isNative({ annotations, containers }: PodDraft, { hasNativeSidecars, record }: TemplateSources): boolean {
  const hasApplication = containers.some((item) => nameOf(item) !== container.proxy);
  if (!hasApplication && (record.overrides.has(container.proxy) || record.injected === undefined)) return false;
  return parseFlag(annotations[annotation.nativeSidecar] ?? "") ?? hasNativeSidecars;
}

/**
 * The containers that the pod brought along, as templates saw them at the first injection: what was put in then is left
 * out, and the proxy's own container is last, wherever it stands by now.
 */
function ownContainers(draft: PodDraft, { injected, overrides }: InjectionRecord): readonly PlainObject[] {
  const isOwn = (name: string) => injected === undefined || !injected.has(name) || overrides.has(name);
  const applications = draft.containers.filter((item) => nameOf(item) !== container.proxy && isOwn(nameOf(item)));
  const proxy = injected === undefined ? findProxy(draft) : overrides.get(container.proxy);
  return proxy === undefined ? applications : [...applications, proxy];
}
