/** Configuration files of the node's programs. */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify as stringifyYaml } from "yaml";
import { pauseImage } from "./image-names.ts";
import { dnsIp, nodeFolder, nodeName, podRange } from "./layout.ts";

/** In the node's own /run: a path of the checkout may be longer than a socket's name can be. */
export const containerdSocket = "/run/containerd/containerd.sock";

export function writeNodeFiles(): void {
  writeFileSync(join(nodeFolder, "containerd.toml"), buildContainerdConfig());
  write("cni/10-bridge.conflist", JSON.stringify(buildNetwork(), null, 2));
  // No servers: pods ask the cluster's DNS, and that has nobody to ask.
  write("resolv.conf", "");
  write("kubelet.yaml", stringifyYaml(buildKubeletConfig()));
  write("kube-proxy.yaml", stringifyYaml(buildKubeProxyConfig()));
}

const inNode = (file: string): string => join(nodeFolder, file);
const write = (file: string, content: string): void => writeFileSync(inNode(file), content);

function buildContainerdConfig(): string {
  // Snapshotters that want devices or file systems of their own, which would only fill the log.
  const unused = ["aufs", "btrfs", "zfs", "devmapper"].map((name) => `"io.containerd.snapshotter.v1.${name}"`);
  return `version = 2
root = "${inNode("containerd")}"
state = "/run/containerd/state"
disabled_plugins = [${[...unused, '"io.containerd.internal.v1.tracing"'].join(", ")}]
[grpc]
  address = "${containerdSocket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "${inNode("opt")}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${pauseImage}"
  disable_apparmor = true
  # Where nobody has CAP_SYS_RESOURCE, runc ends with an unrelated message for every score below its own.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "${inNode("cni")}"
`;
}

function buildNetwork(): object {
  const ipam = { type: "host-local", dataDir: inNode("addresses"), ranges: [[{ subnet: podRange }]] };
  return {
    cniVersion: "1.0.0",
    name: "e2e",
    plugins: [
      { type: "bridge", bridge: "cni0", isDefaultGateway: true, ipMasq: true, hairpinMode: true, ipam },
      { type: "portmap", capabilities: { portMappings: true } },
    ],
  };
}

function buildKubeletConfig(): object {
  return {
    apiVersion: "kubelet.config.k8s.io/v1beta1",
    kind: "KubeletConfiguration",
    containerRuntimeEndpoint: `unix://${containerdSocket}`,
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: inNode("pki/ca.crt") },
    },
    authorization: { mode: "Webhook" },
    clusterDNS: [dnsIp],
    clusterDomain: "cluster.local",
    resolvConf: inNode("resolv.conf"),
    podLogsDir: inNode("pod-logs"),
    cgroupDriver: "cgroupfs",
    failCgroupV1: false,
    failSwapOn: false,
    // The disk of a workshop is often nearly full; a test of a few minutes does not mind.
    evictionHard: {
      "memory.available": "50Mi",
      "nodefs.available": "1%",
      "imagefs.available": "1%",
      "nodefs.inodesFree": "1%",
    },
    imageGCHighThresholdPercent: 100,
    nodeStatusUpdateFrequency: "2s",
    maxOpenFiles: hardLimitOfFiles(),
    oomScoreAdj: 0,
  };
}

/** More than the machine allows would keep the kubelet from starting. */
function hardLimitOfFiles(): number {
  const limit = execFileSync("sh", ["-c", "ulimit -Hn"], { encoding: "utf8" }).trim();
  return limit === "unlimited" ? 1_000_000 : Number(limit);
}

function buildKubeProxyConfig(): object {
  return {
    apiVersion: "kubeproxy.config.k8s.io/v1alpha1",
    kind: "KubeProxyConfiguration",
    mode: "iptables",
    hostnameOverride: nodeName,
    clusterCIDR: podRange,
    clientConnection: { kubeconfig: inNode("pki/kube-proxy.conf") },
    // 0 leaves the machine's own settings alone.
    conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: "0s", tcpCloseWaitTimeout: "0s" },
  };
}
