/** Injection as the webhook serves it: its settings from a ConfigMap or from files, and the mesh as it is now. */
import { compareByAge } from "../api/object.ts";
import type { Flags } from "../config/flags.ts";
import type { MeshMetrics } from "../http/metrics.ts";
import type { ServedInjection } from "../http/webhook-server.ts";
import { parseInjectPath } from "../inject/inject-path.ts";
import { type InjectionInput, injectPod } from "../inject/injection.ts";
import { type NativeSidecarMode, supportsNativeSidecars } from "../inject/native-sidecars.ts";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import type { ObjectRef } from "../lib/message.ts";
import type { Snapshot } from "../snapshot/snapshot.ts";
import { ownField, ownText } from "../webhook/admission-review.ts";
import { injectReview, type PodAnswer, type PodQuestion } from "../webhook/inject-review.ts";
import { createInjectionSettings, type InjectionSettings } from "../webhook/injection-settings.ts";
import { injectorConfigName } from "./cluster.ts";
import { openInjectionFiles } from "./injection-files.ts";

export interface InjectionOptions {
  readonly flags: Flags;
  readonly snapshot: () => Snapshot;
  readonly metrics: Pick<MeshMetrics, "count" | "observe">;
  readonly clock: Clock;
  readonly log: Log;
}

export interface Injection extends ServedInjection {
  /** Reads the files of INJECTION_DIRECTORY where there are any. */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** To be called when the mesh has changed: the ConfigMap is read from there. */
  notify(): void;
}

export function createInjection(options: InjectionOptions): Injection {
  const { flags, snapshot, metrics, clock, log } = options;
  const settings = createInjectionSettings({
    log: log.child({ component: "injection" }),
    onRejected: ({ kind, namespace, name }) =>
      metrics.count("pilot_total_rejected_configs", { type: kind, name: `${namespace}/${name}` }),
  });
  const origin: ObjectRef = {
    kind: "ConfigMap",
    namespace: flags.namespace,
    name: injectorConfigName(flags.revision),
  };
  let closeFiles: (() => void) | undefined;
  const readConfigMap = (): void => {
    const object = snapshot().findObject("ConfigMap", origin.namespace, origin.name);
    if (object === undefined) settings.noteMissing(origin);
    else
      settings.update({ origin, config: object.spec.data["config"] ?? "", values: object.spec.data["values"] ?? "" });
  };
  const inject = createInjector(options, settings);
  return {
    answer: (review, path) => injectReview(review, { path, inject, metrics }),
    findObstacle: () => (settings.current === undefined ? settings.obstacle : undefined),
    notify() {
      if (closeFiles === undefined) readConfigMap();
    },
    async start() {
      closeFiles = await openInjectionFiles({ directory: flags.injectionDirectory, settings, clock, log });
      if (closeFiles === undefined) readConfigMap();
    },
    async stop() {
      closeFiles?.();
    },
  };
}

/** Answers about pods with what the mesh and the settings are at that moment. */
function createInjector({ flags, snapshot }: InjectionOptions, settings: InjectionSettings) {
  const listKubelets = createKubeletLookup();
  return ({ pod, namespace, path }: PodQuestion): PodAnswer => {
    const config = settings.current;
    if (config === undefined) throw new Error("pods are not asked about before there are settings");
    const at = snapshot();
    const input: InjectionInput = {
      pod,
      podNamespace: namespace,
      config,
      mesh: at.mesh,
      proxyConfigs: listProxyConfigs(at, namespace),
      revision: flags.revision,
      environment: parseInjectPath(`/inject/${path}`),
      hasNativeSidecars: supportsNativeSidecars(parseMode(flags.nativeSidecars), listKubelets(at, pod)),
      ...(flags.platform === "openshift" ? { openShiftNamespace: findNamespace(at, namespace) } : {}),
    };
    return injectPod(input);
  };
}

function listProxyConfigs(snapshot: Snapshot, namespace: string) {
  const { rootNamespace = "" } = snapshot.mesh;
  return snapshot
    .objects("ProxyConfig")
    .filter(({ meta }) => meta.namespace === namespace || meta.namespace === rootNamespace)
    .sort(compareByAge);
}

const findNamespace = (snapshot: Snapshot, name: string) => ({
  annotations: snapshot.findObject("Namespace", "", name)?.meta.annotations ?? {},
});

/** Any other word is read as auto, as in istiod. */
const parseMode = (word: string): NativeSidecarMode => (word === "true" || word === "false" ? word : "auto");

/** Versions of the kubelets that a pod could run under: that of its node where it has one, else those of all nodes. */
function createKubeletLookup(): (snapshot: Snapshot, pod: object) => readonly string[] {
  let last: { readonly snapshot: Snapshot; readonly versions: readonly string[] } | undefined;
  return (snapshot, pod) => {
    const own = snapshot.findObject("Node", "", ownText(ownField(pod, "spec"), "nodeName"));
    if (own !== undefined) return [own.spec.kubeletVersion ?? ""];
    if (last?.snapshot !== snapshot) {
      const versions = snapshot.objects("Node").map(({ spec }) => spec.kubeletVersion ?? "");
      last = { snapshot, versions: [...new Set(versions)] };
    }
    return last.versions;
  };
}
