/**
 * Builds the programs of a real Kubernetes control plane (etcd, kube-apiserver, kube-controller-manager, kubectl) and
 * Helm from the Go module proxy, once: the two modules beside this file list them as tools. The result stays in
 * .cache/kubernetes.
 */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ensureBuilt, type GoModule } from "../go/go-module.ts";

/** Where all programs of a cluster stay. */
export const cacheFolder = fileURLToPath(new URL("../../.cache/kubernetes/", import.meta.url));
const kubernetesVersion = "v1.35.4";

const versionPackage = "k8s.io/component-base/version";
/** Without them Kubernetes' programs call themselves v0.0.0, and clients choose old ways of talking to them. */
export const kubernetesFlags = `-s -w -X ${versionPackage}.gitVersion=${kubernetesVersion} -X ${versionPackage}.gitMajor=1 -X ${versionPackage}.gitMinor=35 -X ${versionPackage}.gitTreeState=clean`;

const modules: readonly GoModule[] = [
  {
    name: "kubernetes",
    folder: fileURLToPath(new URL("kubernetes/", import.meta.url)),
    cacheFolder,
    programs: {
      "kube-apiserver": "kube-apiserver",
      "kube-controller-manager": "kube-controller-manager",
      kubectl: "kubectl",
      // The path of etcd's module ends in "server/v3".
      server: "etcd",
    },
    ldflags: kubernetesFlags,
    duration: "5 to 10 minutes on two processors",
  },
  {
    name: "helm",
    folder: fileURLToPath(new URL("helm/", import.meta.url)),
    cacheFolder,
    programs: { helm: "helm" },
    ldflags: "-s -w",
    duration: "1 to 2 minutes",
  },
];

export interface ClusterPrograms {
  readonly apiServer: string;
  readonly controllerManager: string;
  readonly etcd: string;
  readonly kubectl: string;
  readonly helm: string;
}

/**
 * Paths of the programs; builds what is missing or belongs to another version. `progress` receives one line for each
 * step. Rejects with a message that says what to install.
 */
export async function clusterPrograms(progress: (line: string) => void = () => undefined): Promise<ClusterPrograms> {
  for (const module of modules) await ensureBuilt(module, progress);
  return {
    apiServer: programPath("kube-apiserver"),
    controllerManager: programPath("kube-controller-manager"),
    etcd: programPath("etcd"),
    kubectl: programPath("kubectl"),
    helm: programPath("helm"),
  };
}

/** Where ensureBuilt leaves a program. */
export function programPath(name: string): string {
  return join(cacheFolder, name);
}
