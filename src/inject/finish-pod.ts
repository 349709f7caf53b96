/** What templates cannot say, because it depends on the merged pod. */
import type { Findings } from "../api/findings.ts";
import type { PlainObject } from "../api/plain-value.ts";
import { sortEntries } from "../lib/text-order.ts";
import { annotation, container, label } from "./annotation-names.ts";
import { parseFlag } from "./annotation-rules.ts";
import type { InjectionConfig } from "./injection-config.ts";
import { formatOverrides, formatStatus, type InjectionRecord } from "./injection-record.ts";
import type { LaidPod } from "./lay-templates.ts";
import { announceSecurePort, mergeMetrics } from "./merge-metrics.ts";
import { orderContainers } from "./order-containers.ts";
import { changeContainer, closePod, findProxy, type PodDraft, setVariable } from "./pod-draft.ts";
import { field, findNamed, isList, objectField } from "./pod-fields.ts";
import { rewriteProbes } from "./rewrite-probes.ts";
import { holdsApplication } from "./templates/sidecar.ts";
import type { TemplateData } from "./templates/template-data.ts";

export interface FinishingTask {
  readonly data: TemplateData;
  readonly config: InjectionConfig;
  /** From the path of the webhook. */
  readonly environment: ReadonlyMap<string, string>;
  readonly record: InjectionRecord;
  readonly findings: Findings;
}

export function finishPod(laid: LaidPod, task: FinishingTask): PlainObject {
  const { data, config, findings } = task;
  const { annotations } = data;
  const environment = clusterEnvironment(task);
  // The agent listens where the annotation says, 0 for nowhere.
  const agentPort = Number(annotations[annotation.statusPort] ?? data.proxyConfig.statusPort ?? 15020);
  let draft = adjustUser(laid, data);
  draft = setEnvironment(draft, environment, task.record.injected !== undefined);
  // Without a proxy or its port nobody would answer for the application.
  const hasAgent = findProxy(draft) !== undefined && agentPort > 0;
  if (hasAgent) draft = mergeMetrics(draft, { isMerged: data.mesh.enablePrometheusMerge, agentPort }, findings);
  draft = announceSecurePort(draft);
  if (hasAgent && wantsProbes(draft, config)) draft = rewriteProbes(draft, agentPort);
  draft = addMetadata(draft, laid, { ...task, environment });
  return closePod(orderContainers(draft, holdsApplication(data)));
}

/** The annotation counts as it is by now: templates without a proxy that listens for probes set it. */
const wantsProbes = ({ annotations }: PodDraft, { values }: InjectionConfig): boolean =>
  parseFlag(annotations[annotation.rewriteProbes] ?? "") ?? values.rewritesProbes;

/** Cluster and network, said by the mesh's values, the webhook's path or, for the network, the pod's label. */
function clusterEnvironment({ data, environment }: FinishingTask): ReadonlyMap<string, string> {
  const { clusterName, network } = data.values;
  const said = new Map(environment);
  const set = (name: string, value: string) => {
    if (value !== "") said.set(name, value);
  };
  if ((said.get("ISTIO_META_CLUSTER_ID") ?? "") === "") set("ISTIO_META_CLUSTER_ID", clusterName);
  if ((said.get("ISTIO_META_NETWORK") ?? "") === "") set("ISTIO_META_NETWORK", network);
  set("ISTIO_META_NETWORK", data.labels[label.network] ?? "");
  return said;
}

function setEnvironment(draft: PodDraft, environment: ReadonlyMap<string, string>, isAgain: boolean): PodDraft {
  return changeContainer(draft, container.proxy, (proxy) =>
    // They come last at first; an injected pod has them in their place already.
    sortEntries(environment).reduce(
      (item, [name, value]) => setVariable(item, { name, value, isMoved: !isAgain }),
      proxy,
    ),
  );
}

function addMetadata(draft: PodDraft, laid: LaidPod, task: FinishingTask): PodDraft {
  const { overrides, templateSpec } = laid;
  const network = task.environment.get("ISTIO_META_NETWORK");
  const status = formatStatus(templateSpec, task.data.revision);
  const isRecorded = [...overrides.keys()].every((name) => task.record.overrides.has(name));
  return {
    ...draft,
    labels: { ...draft.labels, ...(network === undefined ? {} : { [label.network]: network }) },
    annotations: {
      ...draft.annotations,
      ...(isRecorded ? {} : { [annotation.overrides]: formatOverrides(overrides, templateSpec) }),
      [annotation.status]: status,
      ...task.config.injectedAnnotations,
    },
  };
}

/**
 * A proxy whose own container asks for another user is let through the redirection as that user, and its check runs as
 * that user. With TPROXY the proxy has to stay root.
 */
function adjustUser({ draft, overrides }: LaidPod, data: TemplateData): PodDraft {
  const said = objectField(overrides.get(container.proxy) ?? {}, "securityContext");
  const [user, group] = [field(said, "runAsUser"), field(said, "runAsGroup")];
  if (typeof user !== "number" && typeof group !== "number") return draft;
  const isTproxy = (draft.annotations[annotation.interceptionMode] ?? data.proxyConfig.interceptionMode) === "TPROXY";
  const secure = (item: PlainObject, fields: PlainObject): PlainObject => ({
    ...item,
    securityContext: { ...objectField(item, "securityContext"), ...fields },
  });
  let result = draft;
  if (isTproxy && typeof user === "number") {
    result = changeContainer(result, container.proxy, (proxy) => secure(proxy, { runAsUser: 0 }));
  }
  if (!isTproxy) {
    const ids = {
      ...(typeof user === "number" ? { runAsUser: user } : {}),
      ...(typeof group === "number" ? { runAsGroup: group } : {}),
    };
    result = changeContainer(result, container.validation, (item) => secure(item, ids));
  }
  // The owner 0 would let through what applications send as root.
  if (typeof user !== "number" || user === 0) return result;
  const redirection = [container.init, container.validation].find(
    (name) => findNamed(draft.initContainers, name) !== undefined,
  );
  return redirection === undefined ? result : changeContainer(result, redirection, (item) => withUser(item, user));
}

function withUser(item: PlainObject, user: number): PlainObject {
  const args = field(item, "args");
  const at = isList(args) ? args.indexOf("-u") + 1 : 0;
  return isList(args) && at > 0 ? { ...item, args: args.with(at, String(user)) } : item;
}
