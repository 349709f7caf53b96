/** A control plane beside a real kube-apiserver and etcd, with the pods that stand behind endpoints. */
import type { GivenOptions } from "../../../../src/config/flags.ts";
import { createKubeClient } from "../../../../src/kube/create-kube-client.ts";
import { KubeApiError, type KubeClient } from "../../../../src/kube/kube-client.ts";
import { systemClock } from "../../../../src/lib/clock.ts";
import { silentLog } from "../../../../src/lib/log.ts";
import { startCluster } from "../../../../tools/cluster/cluster.ts";
import { installCrds } from "../../../kubernetes/install-crds.ts";
import { nowMs } from "../proxies/simulated-proxy.ts";
import { startForkedServer } from "./forked-server.ts";
import { buildPods, podName, type SliceObject } from "./kubernetes-pods.ts";
import type { MeshObject, MeshServer } from "./mesh-server.ts";

const plurals: Readonly<Record<string, string>> = {
  Namespace: "namespaces",
  Service: "services",
  EndpointSlice: "endpointslices",
  Pod: "pods",
  VirtualService: "virtualservices",
  DestinationRule: "destinationrules",
  Sidecar: "sidecars",
  Gateway: "gateways",
};

/** Requests under way at once: enough to keep the API server busy. */
const parallel = 40;

export async function startKubernetesServer(
  mesh: readonly MeshObject[],
  options: GivenOptions,
  progress: (line: string) => void,
): Promise<MeshServer> {
  const cluster = await startCluster({ progress });
  let client: KubeClient | undefined;
  try {
    const { kubeconfig } = cluster;
    const asked = { kubeconfig, qps: 1_000_000, burst: 1_000_000, clock: systemClock, log: silentLog };
    const kube = await createKubeClient(asked);
    client = kube;
    await installCrds(cluster);
    // Where the control plane keeps its authority and reads its settings.
    await cluster.kubectl(["create", "namespace", "istio-system"]);
    progress(`filling the API server with ${mesh.length} objects and their pods`);
    const pods = await fill(kube, mesh);
    // Statuses are not what is measured here: a thousand of them would be written meanwhile.
    const server = await startForkedServer({ options: { ...options, kubeconfig, writeStatus: "false" } });
    return {
      ...server,
      async write(objects) {
        const atMs = nowMs();
        await forEach(objects, (object) => writeObject(kube, adapt(object, pods)));
        return atMs;
      },
      async stop() {
        await server.stop();
        kube.close();
        await cluster.stop();
      },
    };
  } catch (cause) {
    client?.close();
    await cluster.stop();
    throw cause;
  }
}

/** The names of the pods that stand in the API server then, with their namespaces. */
async function fill(client: KubeClient, mesh: readonly MeshObject[]): Promise<ReadonlySet<string>> {
  const isNamespace = ({ kind }: MeshObject): boolean => kind === "Namespace";
  const all = mesh.flatMap((object) => (isSlice(object) ? buildPods(object) : []));
  const names = new Set(all.map(({ pod: { metadata } }) => `${metadata.namespace}/${metadata.name}`));
  await forEach(mesh.filter(isNamespace), (object) => create(client, object));
  await forEach(
    mesh.filter((object) => !isNamespace(object)),
    (object) => create(client, adapt(object, names)),
  );
  await forEach(all, async ({ pod, status }) => {
    await create(client, pod);
    await patch(client, `${pathOf(pod)}/status`, { status });
  });
  return names;
}

function isSlice(object: MeshObject): object is SliceObject {
  return object.kind === "EndpointSlice";
}

/** The API server hands out addresses of its own range; endpoints point to their pods, where there are some. */
function adapt(object: MeshObject, pods: ReadonlySet<string>): MeshObject {
  if (object.kind === "Service") {
    const { clusterIP: _, ...spec } = (object as MeshObject & { readonly spec: { readonly clusterIP?: string } }).spec;
    return { ...object, spec } as MeshObject;
  }
  if (!isSlice(object)) return object;
  const { namespace = "" } = object.metadata;
  const endpoints = object.endpoints.map((endpoint, index) => {
    const name = podName(object, index);
    const targetRef = { kind: "Pod", namespace, name };
    return pods.has(`${namespace}/${name}`) ? { ...endpoint, nodeName: "node-1", targetRef } : endpoint;
  });
  return { ...object, endpoints } as SliceObject;
}

/** A PATCH, as most changes are; what is not there yet is created. */
async function writeObject(client: KubeClient, object: MeshObject): Promise<void> {
  try {
    await patch(client, pathOf(object), object);
  } catch (cause) {
    if (!(cause instanceof KubeApiError) || cause.status !== 404) throw cause;
    await create(client, object);
  }
}

function patch(client: KubeClient, path: string, body: object): Promise<unknown> {
  return client.request({ method: "PATCH", path, contentType: "application/merge-patch+json", body });
}

function create(client: KubeClient, object: MeshObject): Promise<unknown> {
  return client.request({ method: "POST", path: collectionOf(object), body: object, timeoutMs: 60_000 });
}

const pathOf = (object: MeshObject): string => `${collectionOf(object)}/${object.metadata.name}`;

function collectionOf({ apiVersion, kind, metadata }: MeshObject): string {
  const root = apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const scope = metadata.namespace === undefined ? "" : `/namespaces/${metadata.namespace}`;
  return `${root}${scope}/${plurals[kind]}`;
}

async function forEach<T>(items: readonly T[], act: (item: T) => Promise<unknown>): Promise<void> {
  const rest = items.values();
  const work = async (): Promise<void> => {
    for (const item of rest) await act(item);
  };
  await Promise.all(Array.from({ length: parallel }, work));
}
