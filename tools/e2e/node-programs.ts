/**
 * The programs of a whole Kubernetes node: those of tools/cluster, and kubelet, scheduler, kube-proxy, CoreDNS and the
 * pause program from the two modules beside this file. Built once from the Go module proxy into .cache/kubernetes.
 */
import { fileURLToPath } from "node:url";
import {
  type ClusterPrograms,
  cacheFolder,
  clusterPrograms,
  kubernetesFlags,
  programPath,
} from "../cluster/programs.ts";
import { ensureBuilt, type GoModule } from "../go/go-module.ts";

const modules: readonly GoModule[] = [
  {
    name: "node",
    folder: fileURLToPath(new URL("node/", import.meta.url)),
    cacheFolder,
    programs: { kubelet: "kubelet", "kube-proxy": "kube-proxy", "kube-scheduler": "kube-scheduler" },
    ldflags: kubernetesFlags,
    duration: "2 to 5 minutes on two processors",
  },
  {
    name: "dns",
    folder: fileURLToPath(new URL("dns/", import.meta.url)),
    cacheFolder,
    programs: { coredns: "coredns", pause: "pause" },
    ldflags: "-s -w",
    duration: "1 to 2 minutes",
  },
];

export interface NodePrograms extends ClusterPrograms {
  readonly kubelet: string;
  readonly kubeProxy: string;
  readonly scheduler: string;
  readonly coredns: string;
  readonly pause: string;
}

/** Paths of the programs; builds what is missing or belongs to another version. */
export async function nodePrograms(progress: (line: string) => void = () => undefined): Promise<NodePrograms> {
  const programs = await clusterPrograms(progress);
  for (const module of modules) await ensureBuilt(module, progress);
  return {
    ...programs,
    kubelet: programPath("kubelet"),
    kubeProxy: programPath("kube-proxy"),
    scheduler: programPath("kube-scheduler"),
    coredns: programPath("coredns"),
    pause: programPath("pause"),
  };
}
