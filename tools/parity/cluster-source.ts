/** The reference's objects in a real API server, so that the same comparison goes through informers instead of files. */
import { fileURLToPath } from "node:url";
import { parseAllDocuments, stringify as stringifyYaml } from "yaml";
import { type Cluster, startCluster } from "../cluster/cluster.ts";

interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly spec?: { readonly containers?: readonly object[] };
  readonly status?: object;
}

export interface ClusterMesh {
  readonly kubeconfig: string;
  /** Adds the objects of a case; the function takes exactly those away again. */
  apply(text: string): Promise<() => Promise<void>>;
  stop(): Promise<void>;
}

/** Starts an API server that knows Istio's kinds and holds the mesh. */
export async function startClusterMesh(meshText: string): Promise<ClusterMesh> {
  const cluster = await startCluster({ progress: (line) => console.log(line) });
  const crds = fileURLToPath(new URL("../../manifests/crds", import.meta.url));
  await cluster.kubectl(["apply", "--server-side", "-f", crds]);
  await cluster.kubectl(["wait", "--for=condition=Established", "--timeout=30s", "crd", "--all"]);
  await applyObjects(cluster, parseObjects(meshText));
  return {
    kubeconfig: cluster.kubeconfig,
    async apply(text) {
      const objects = parseObjects(text);
      await applyObjects(cluster, objects);
      return async () => {
        if (objects.length > 0)
          await cluster.kubectl(["delete", "--wait", "--ignore-not-found", "-f", "-"], format(objects));
      };
    },
    stop: () => cluster.stop(),
  };
}

function parseObjects(text: string): readonly KubeObject[] {
  return parseAllDocuments(text)
    .map((document) => document.toJS() as KubeObject | null)
    .filter((object) => object !== null);
}

async function applyObjects(cluster: Cluster, objects: readonly KubeObject[]): Promise<void> {
  if (objects.length === 0) return;
  const namespaces = new Set(objects.flatMap(({ metadata }) => metadata.namespace ?? []));
  const missing = [...namespaces].map((name) => ({ apiVersion: "v1", kind: "Namespace", metadata: { name } }));
  const apply = (list: readonly object[], ...more: readonly string[]): Promise<string> =>
    cluster.kubectl(["apply", "--server-side", "--force-conflicts", ...more, "-f", "-"], format(list));
  if (missing.length > 0) await apply(missing);
  await apply(objects.map(fillIn));
  // Whoever writes a pod does not write its status with it: that is another request.
  const withStatus = objects.filter(({ kind, status }) => kind === "Pod" && status !== undefined);
  if (withStatus.length > 0) await apply(withStatus.map(fillIn), "--subresource=status");
}

/** What an API server insists on and no proxy is ever told. */
function fillIn(object: KubeObject): object {
  if (object.kind !== "Pod") return object;
  const containers = object.spec?.containers?.map((container) => ({ image: "none", ...container }));
  return { ...object, spec: { ...object.spec, containers } };
}

const format = (objects: readonly object[]): string => objects.map((object) => stringifyYaml(object)).join("---\n");
