/** Makes an API server know the kinds of Istio, from the manifests that people apply. */
import { fileURLToPath } from "node:url";
import type { Cluster } from "../../tools/cluster/cluster.ts";

const folder = fileURLToPath(new URL("../../manifests/crds/", import.meta.url));

/** Applies all CRDs and waits until the server serves them. */
export async function installCrds(cluster: Cluster): Promise<void> {
  await cluster.kubectl(["apply", "--server-side", "-f", folder]);
  await cluster.kubectl(["wait", "--for=condition=Established", "--timeout=30s", "crd", "--all"]);
}
