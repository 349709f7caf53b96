/** The cluster that a control plane belongs to: its API server, and the objects in it. */
import type { Flags } from "../config/flags.ts";
import { createKubeClient } from "../kube/create-kube-client.ts";
import type { KubeClient } from "../kube/kube-client.ts";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import { createKubernetesSource, type KubernetesSource } from "../sources/kubernetes/kubernetes-source.ts";
import type { KubernetesLimits } from "../sources/kubernetes/limits.ts";
import type { WatchStatus } from "../sources/kubernetes/watch-status.ts";

export interface Cluster {
  readonly client: KubeClient;
  readonly source: KubernetesSource;
}

export interface ClusterOptions {
  readonly flags: Flags;
  readonly clock: Clock;
  readonly log: Log;
  /** Limits of the watches that differ from the usual ones. */
  readonly limits?: Partial<KubernetesLimits>;
}

/** Name of the ConfigMap with the mesh's settings: "istio", or "istio-REVISION" (row G60). */
export function meshConfigName(revision: string): string {
  return revision === "" || revision === "default" ? "istio" : `istio-${revision}`;
}

/** Name of the ConfigMap with the settings of injection (Istio: pilot/pkg/bootstrap/sidecarinjector.go). */
export function injectorConfigName(revision: string): string {
  return revision === "" || revision === "default" ? "istio-sidecar-injector" : `istio-sidecar-injector-${revision}`;
}

/** Reads the credentials; whether the API server can be reached shows when the source starts. */
export async function createCluster({ flags, clock, log, limits = {} }: ClusterOptions): Promise<Cluster> {
  const client = await createKubeClient({
    ...(flags.kubeconfig === "" ? {} : { kubeconfig: flags.kubeconfig }),
    qps: flags.kubernetesApiQps,
    burst: flags.kubernetesApiBurst,
    clock,
    log,
  });
  const source = createKubernetesSource({
    client,
    systemNamespace: flags.namespace,
    configMapNames: listConfigMaps(flags),
    secretNamespaces: parseNames(flags.secretNamespaces),
    ...(flags.watchNamespace === "" ? {} : { watchNamespace: flags.watchNamespace }),
    clock,
    random: Math.random,
    log,
    limits,
  });
  return { client, source };
}

/** One line for each kind that cannot be read. A kind that nobody installed is none of these. */
export function describeWatches(watches: readonly WatchStatus[]): readonly string[] {
  return watches
    .filter(({ state, isSynced }) => state === "forbidden" || state === "retrying" || (state === "missing" && isSynced))
    .map(({ kind, namespace, state, lastError }) => {
      const place = namespace === "" ? "" : ` in ${namespace}`;
      return `${kind}${place}: ${state}${lastError === "" ? "" : `, ${lastError}`}`;
    });
}

function listConfigMaps(flags: Flags): readonly string[] {
  const injector = flags.injectEnabled ? [injectorConfigName(flags.revision)] : [];
  return [meshConfigName(flags.revision), flags.sharedMeshConfig, ...injector].filter((name) => name !== "");
}

/** Names between commas, each once. */
export function parseNames(list: string): readonly string[] {
  const names = list.split(",").map((name) => name.trim());
  return [...new Set(names.filter((name) => name !== ""))];
}
