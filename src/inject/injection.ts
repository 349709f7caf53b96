/**
 * The contract of injection: a pod as the API server or a file has it, and what the mesh says, become a pod with a proxy
 * and the patch that makes it. Pure: everything that decides stands in the input. Nothing here ever renders text that is
 * parsed again: templates are functions to plain data, so a value of somebody's annotation stays the value it is.
 */
import { createFindings, type Findings, formatPath } from "../api/findings.ts";
import type { MeshConfig } from "../api/mesh-config/schema.ts";
import { copyPlain, type PlainObject } from "../api/plain-value.ts";
import type { ProxyConfig } from "../api/proxy-config/schema.ts";
import type { Message } from "../lib/message.ts";
import { checkInjectionAnnotations } from "./check-annotations.ts";
import { findSkipReason, type SkipReason } from "./decide-injection.ts";
import { finishPod } from "./finish-pod.ts";
import type { InjectionConfig } from "./injection-config.ts";
import { readRecord } from "./injection-record.ts";
import { derivePatch, type JsonPatch } from "./json-patch.ts";
import { layTemplates } from "./lay-templates.ts";
import { openPod } from "./pod-draft.ts";
import { isObject, listField, nameOf, objectField, textField } from "./pod-fields.ts";
import { deriveProxyConfig } from "./proxy-settings.ts";
import { deriveTemplateData } from "./template-input.ts";
import { deriveOwner, type WorkloadOwner } from "./workload-owner.ts";

export interface InjectionInput {
  /** A Pod as JSON, of unknown content. */
  readonly pod: unknown;
  /** Namespace that the pod is created in; the pod's own metadata often says none yet. */
  readonly podNamespace: string;
  /** Who made the pod; derived from its owner references where absent. */
  readonly owner?: WorkloadOwner;
  /** Annotations of the namespace, on OpenShift alone: its ranges of user and group ids decide the proxy's. */
  readonly openShiftNamespace?: { readonly annotations: Readonly<Record<string, string>> };
  readonly config: InjectionConfig;
  readonly mesh: MeshConfig;
  /** ProxyConfig objects of the pod's namespace and the root namespace, oldest first. */
  readonly proxyConfigs?: readonly ProxyConfig[];
  /** Revision of this control plane; "" is the default one. */
  readonly revision: string;
  /** Environment that the webhook's path asks for, see parseInjectPath. */
  readonly environment?: ReadonlyMap<string, string>;
  /** Whether the nodes of the cluster run sidecars as init containers, see supportsNativeSidecars. */
  readonly hasNativeSidecars: boolean;
  /** COMPLIANCE_POLICY of the control plane; "" for none. */
  readonly compliancePolicy?: string;
}

export type InjectionResult =
  | { readonly kind: "skipped"; readonly reason: SkipReason }
  | {
      readonly kind: "injected";
      readonly pod: PlainObject;
      /** From the pod as it came to the pod as it is now; empty where it was injected before. */
      readonly patch: JsonPatch;
      /** Warnings only. */
      readonly messages: readonly Message[];
    }
  /** The pod asks for what cannot be; at least one message is an error, with the path of the field. */
  | { readonly kind: "refused"; readonly messages: readonly Message[] };

/**
 * Injects one pod by the templates that it names, or the default ones. Templates are merged over the pod; containers that
 * the pod brings along under a name of the template (istio-proxy, istio-init) keep what they say. Never throws.
 */
export function injectPod(input: InjectionInput): InjectionResult {
  const findings = createFindings();
  const pod = readPod(input.pod, findings);
  if (pod === undefined) return refuse(input, {}, findings);
  const draft = openPod(pod);
  const reason = findSkipReason(
    {
      namespace: input.podNamespace,
      labels: draft.labels,
      annotations: draft.annotations,
      hasHostNetwork: objectField(pod, "spec")["hostNetwork"] === true,
    },
    input.config,
  );
  if (reason !== undefined) return { kind: "skipped", reason };
  checkInjectionAnnotations(draft.annotations, findings);
  const record = readRecord(draft.annotations, findings);
  const { labels, annotations } = draft;
  const proxyConfig = deriveProxyConfig(
    { mesh: input.mesh, objects: input.proxyConfigs ?? [], namespace: input.podNamespace, labels, annotations },
    findings,
  );
  const owner = input.owner ?? deriveOwner(pod, input.podNamespace, labels);
  const data = deriveTemplateData(draft, { ...input, owner, proxyConfig, record });
  const laid = hasErrors(findings) ? undefined : layTemplates(draft, { data, config: input.config, record, findings });
  if (laid === undefined) return refuse(input, pod, findings);
  const finished = finishPod(laid, {
    data,
    config: input.config,
    environment: input.environment ?? new Map(),
    record,
    findings,
  });
  if (hasErrors(findings)) return refuse(input, pod, findings);
  return {
    kind: "injected",
    pod: finished,
    patch: derivePatch(pod, finished),
    messages: messagesOf(input, pod, findings),
  };
}

const hasErrors = ({ all }: Findings): boolean => all.some(({ level }) => level === "error");

function refuse(input: InjectionInput, pod: PlainObject, findings: Findings): InjectionResult {
  return { kind: "refused", messages: messagesOf(input, pod, findings) };
}

function messagesOf({ podNamespace }: InjectionInput, pod: PlainObject, { all }: Findings): readonly Message[] {
  const metadata = objectField(pod, "metadata");
  const name = textField(metadata, "name");
  const object = {
    kind: "Pod",
    namespace: podNamespace,
    name: name === "" ? textField(metadata, "generateName") : name,
  };
  return all.map(({ level, code, path, text }) => ({ level, code, object, path: formatPath(path), text }));
}

/** Reads what has the form of a pod; of its content, only what injection depends on. */
function readPod(raw: unknown, findings: Findings): PlainObject | undefined {
  const pod = copyPlain(raw, [], findings);
  if (hasErrors(findings)) return undefined;
  if (!isObject(pod)) {
    findings.error([], "must be a Pod", "wrong-type");
    return undefined;
  }
  for (const name of ["metadata", "spec"]) {
    if (pod[name] !== undefined && !isObject(pod[name])) findings.error([name], "must be an object", "wrong-type");
  }
  const spec = objectField(pod, "spec");
  for (const list of ["containers", "initContainers"] as const) {
    const value = spec[list] ?? [];
    const items = listField(spec, list);
    const isWhole = Array.isArray(value) && value.length === items.length && items.every((item) => nameOf(item) !== "");
    if (!isWhole) findings.error(["spec", list], "must be a list of containers with names", "wrong-type");
  }
  for (const name of ["labels", "annotations"] as const) {
    const value = objectField(pod, "metadata")[name] ?? {};
    const isMap = isObject(value) && Object.values(value).every((text) => typeof text === "string");
    if (!isMap) findings.error(["metadata", name], "must be an object with strings", "wrong-type");
  }
  return hasErrors(findings) ? undefined : pod;
}
