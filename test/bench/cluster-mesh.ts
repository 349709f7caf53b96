/** The mesh of the bench inside an API server: services, slices, routing and pods as a cluster has them. */
import type { KubeClient } from "../../src/kube/kube-client.ts";
import { benchNamespace, buildEndpoints, buildMesh, type MeshSize } from "./large-mesh.ts";

interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
}

const plurals: Readonly<Record<string, string>> = {
  Namespace: "namespaces",
  Service: "services",
  EndpointSlice: "endpointslices",
  VirtualService: "virtualservices",
  Pod: "pods",
};

/** Requests under way at once: enough to keep the API server busy. */
const parallel = 40;

export async function fillCluster(client: KubeClient, size: MeshSize): Promise<void> {
  const [namespace, ...objects] = buildMesh(size) as readonly KubeObject[];
  if (namespace !== undefined) await create(client, namespace);
  await forEach(objects.map(adapt), (object) => create(client, object));
  await forEach(listPods(size), async ({ pod, status }) => {
    await create(client, pod);
    const path = `${collectionPath(pod)}/${pod.metadata.name}/status`;
    await client.request({ method: "PATCH", path, contentType: "application/merge-patch+json", body: { status } });
  });
}

/** Endpoints of a service's slice, each with its pod. */
export function sliceEndpoints(service: number, count: number): readonly object[] {
  const { endpoints } = buildEndpoints(service, count) as { readonly endpoints: readonly object[] };
  return endpoints.map((endpoint, index) => ({
    ...endpoint,
    nodeName: `node-${index % 20}`,
    targetRef: { kind: "Pod", namespace: benchNamespace, name: podName(service, index) },
  }));
}

const podName = (service: number, index: number): string => `svc-${service}-6c9d8f7b5-${index}`;

/** The API server hands out addresses of its own range; slices point to pods. */
function adapt(object: KubeObject): KubeObject {
  if (object.kind === "Service") {
    const { clusterIP: _, ...spec } = (object as KubeObject & { readonly spec: { readonly clusterIP?: string } }).spec;
    return { ...object, spec } as KubeObject;
  }
  if (object.kind !== "EndpointSlice") return object;
  const service = Number(/svc-(\d+)-s/.exec(object.metadata.name)?.[1]);
  const { endpoints } = object as KubeObject & { readonly endpoints: readonly object[] };
  return { ...object, endpoints: sliceEndpoints(service, endpoints.length) } as KubeObject;
}

function listPods({ services, endpointsPerService }: MeshSize): readonly { pod: KubeObject; status: object }[] {
  return Array.from({ length: services }, (_, service) =>
    (buildEndpoints(service, endpointsPerService) as { endpoints: { addresses: string[] }[] }).endpoints.map(
      ({ addresses }, index) => buildPod(service, index, addresses[0] ?? ""),
    ),
  ).flat();
}

/** A pod as deployments make them: most of it is of no interest to a mesh, which is the point. */
function buildPod(service: number, index: number, podIP: string): { pod: KubeObject; status: object } {
  const app = `svc-${service}`;
  const time = "2026-01-01T00:00:00Z";
  const pod = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: podName(service, index),
      namespace: benchNamespace,
      labels: { app, "pod-template-hash": "6c9d8f7b5", version: "v1", "security.istio.io/tlsMode": "istio" },
      annotations: { "prometheus.io/scrape": "true", "prometheus.io/port": "15020" },
    },
    spec: {
      nodeName: `node-${index % 20}`,
      serviceAccountName: app,
      containers: ["app", "istio-proxy"].map((name) => ({
        name,
        image: `registry.example/${name}:1.0`,
        ports: [{ name: `${name.slice(0, 5)}-http`, containerPort: name === "app" ? 8080 : 15090 }],
        env: Array.from({ length: 12 }, (_, number) => ({ name: `SETTING_${number}`, value: `value of ${number}` })),
        resources: { requests: { cpu: "100m", memory: "128Mi" }, limits: { memory: "256Mi" } },
        readinessProbe: { httpGet: { path: "/ready", port: 8080 }, periodSeconds: 5 },
      })),
    },
  };
  const status = {
    phase: "Running",
    podIP,
    podIPs: [{ ip: podIP }],
    hostIP: "172.18.0.2",
    hostIPs: [{ ip: "172.18.0.2" }],
    startTime: time,
    conditions: ["Initialized", "Ready", "ContainersReady", "PodScheduled"].map((type) => ({
      type,
      status: "True",
      lastTransitionTime: time,
    })),
    containerStatuses: ["app", "istio-proxy"].map((name) => ({
      name,
      image: `registry.example/${name}:1.0`,
      imageID: `registry.example/${name}@sha256:${"0".repeat(64)}`,
      containerID: `containerd://${"1".repeat(64)}`,
      ready: true,
      started: true,
      restartCount: 0,
      state: { running: { startedAt: time } },
    })),
  };
  return { pod, status };
}

function collectionPath({ apiVersion, kind, metadata }: KubeObject): string {
  const root = apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const scope = metadata.namespace === undefined ? "" : `/namespaces/${metadata.namespace}`;
  return `${root}${scope}/${plurals[kind]}`;
}

function create(client: KubeClient, object: KubeObject): Promise<unknown> {
  return client.request({ method: "POST", path: collectionPath(object), body: object, timeoutMs: 60_000 });
}

async function forEach<T>(items: readonly T[], act: (item: T) => Promise<unknown>): Promise<void> {
  const rest = items.values();
  const work = async (): Promise<void> => {
    for (const item of rest) await act(item);
  };
  await Promise.all(Array.from({ length: parallel }, work));
}
