/** What runs in the local mesh and on which ports of 127.0.0.1; manifests/samples/bookinfo says the same to the mesh. */
import type { ProxyType } from "../../src/model/proxy.ts";

export interface WorkloadLayout {
  readonly name: string;
  readonly namespace: string;
  readonly type: ProxyType;
  readonly labels: { readonly [name: string]: string };
  readonly serviceAccount: string;
  readonly adminPort: number;
  /** Ports on which the proxy listens for the mesh. */
  readonly proxyPorts: readonly number[];
  /** The application beside the proxy; none beside the gateway. */
  readonly app?: {
    readonly program: string;
    readonly version: string;
    readonly port: number;
    readonly proxyPort: number;
  };
}

/** Where the control plane listens; `webhook` only in `make run-kubernetes`. */
export const controlPlanePorts = { grpc: 15010, http: 8081, monitoring: 15014, webhook: 15017 } as const;
export const gatewayPort = 8080;

export const gateway: WorkloadLayout = {
  name: "istio-ingressgateway",
  namespace: "istio-system",
  type: "router",
  labels: { istio: "ingressgateway" },
  serviceAccount: "istio-ingressgateway",
  adminPort: 9100,
  proxyPorts: [gatewayPort, 8000, 8443, 8379],
};

export const workloads: readonly WorkloadLayout[] = [
  bookinfo(1, "productpage", "v1"),
  bookinfo(2, "details", "v1"),
  bookinfo(3, "reviews", "v1"),
  bookinfo(4, "reviews", "v2"),
  bookinfo(5, "reviews", "v3"),
  bookinfo(6, "ratings", "v1"),
  gateway,
];

function bookinfo(number: number, app: string, version: string): WorkloadLayout {
  return {
    name: `${app}-${version}`,
    namespace: "bookinfo",
    type: "sidecar",
    labels: { app, version },
    serviceAccount: `bookinfo-${app}`,
    adminPort: 9100 + number,
    proxyPorts: [9300 + number, 9200 + number],
    app: { program: app, version, port: 9400 + number, proxyPort: 9200 + number },
  };
}

/** A port and who listens on it. */
export interface PortOwner {
  readonly port: number;
  readonly owner: string;
}

/** Every port with its owner, to say who needs one that is taken. */
export function listPorts(): readonly PortOwner[] {
  const { grpc, http, monitoring } = controlPlanePorts;
  const controlPlane = [grpc, http, monitoring].map((port) => ({ port, owner: "the control plane" }));
  const mesh = workloads.flatMap(({ name, adminPort, proxyPorts, app }) => [
    ...[adminPort, ...proxyPorts].map((port) => ({ port, owner: `the proxy of ${name}` })),
    ...(app === undefined ? [] : [{ port: app.port, owner: name }]),
  ]);
  return [...controlPlane, ...mesh];
}
