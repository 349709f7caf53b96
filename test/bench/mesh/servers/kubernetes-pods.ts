import type { MeshObject } from "./mesh-server.ts";

export interface SliceObject extends MeshObject {
  readonly endpoints: readonly { readonly addresses: readonly string[] }[];
}

export interface BuiltPod {
  readonly pod: MeshObject;
  readonly status: object;
}

/** The pods that the endpoints of a slice stand for. */
export function buildPods(slice: SliceObject): readonly BuiltPod[] {
  const { name: app, namespace = "" } = slice.metadata;
  return slice.endpoints.map(({ addresses: [address = ""] }, index) =>
    buildPod({ name: podName(slice, index), namespace, app }, address),
  );
}

/** Name of the pod of an endpoint, by its place in the slice. */
export function podName({ metadata }: MeshObject, index: number): string {
  return `${metadata.name}-6c9d8f7b5-${index}`;
}

interface PodName {
  readonly name: string;
  readonly namespace: string;
  readonly app: string;
}

/** A pod as deployments make them: most of it is of no interest to a mesh, which is the point. */
function buildPod({ name, namespace, app }: PodName, podIP: string): BuiltPod {
  const time = "2026-01-01T00:00:00Z";
  const pod = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name,
      namespace,
      labels: { app, "pod-template-hash": "6c9d8f7b5", version: "v1", "security.istio.io/tlsMode": "istio" },
      annotations: { "prometheus.io/scrape": "true", "prometheus.io/port": "15020" },
    },
    spec: {
      nodeName: "node-1",
      serviceAccountName: app,
      containers: ["app", "istio-proxy"].map((container) => ({
        name: container,
        image: `registry.example/${container}:1.0`,
        ports: [{ name: `${container.slice(0, 5)}-http`, containerPort: container === "app" ? 8080 : 15090 }],
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
    containerStatuses: ["app", "istio-proxy"].map((container) => ({
      name: container,
      image: `registry.example/${container}:1.0`,
      imageID: `registry.example/${container}@sha256:${"0".repeat(64)}`,
      containerID: `containerd://${"1".repeat(64)}`,
      ready: true,
      started: true,
      restartCount: 0,
      state: { running: { startedAt: time } },
    })),
  };
  return { pod, status };
}
