/** A small shop: what the tests of push and xDS change things in. */

function serviceOf(name: string, clusterIp: string): string {
  return `
apiVersion: v1
kind: Service
metadata: {name: ${name}, namespace: shop}
spec: {clusterIP: ${clusterIp}, selector: {app: ${name}}, ports: [{name: ${portNameOf(name)}, port: 80, targetPort: 8080}]}
`;
}

const portNameOf = (name: string): string => (name === "db" ? "tcp" : "http");

/** Endpoints of a service as addresses; each address is that of a pod "<service>-<last number>". */
export function sliceOf(name: string, addresses: readonly string[]): string {
  const endpoints = addresses.map((address) => {
    const pod = `${name}-${address.split(".").at(-1)}`;
    return `{addresses: [${address}], conditions: {ready: true}, targetRef: {kind: Pod, name: ${pod}, namespace: shop}}`;
  });
  return `
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: ${name}-1, namespace: shop, labels: {kubernetes.io/service-name: ${name}}}
addressType: IPv4
ports: [{name: ${portNameOf(name)}, port: 8080, protocol: TCP}]
endpoints: [${endpoints.join(", ")}]
`;
}

/** A pod of an app with a version. */
export function podOf(app: string, address: string, version = "v1", account = app): string {
  return `
apiVersion: v1
kind: Pod
metadata: {name: ${app}-${address.split(".").at(-1)}, namespace: shop, labels: {app: ${app}, version: ${version}}}
spec: {serviceAccountName: ${account}, nodeName: node-1, containers: [{name: app, image: app}]}
status: {podIP: ${address}, podIPs: [{ip: ${address}}], phase: Running, conditions: [{type: Ready, status: "True"}]}
`;
}

/** A virtual service of "web" with a timeout in seconds. */
export function virtualServiceOf(timeoutSeconds: number): string {
  return `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: shop}
spec: {hosts: [web], http: [{route: [{destination: {host: web, subset: v1}}], timeout: ${timeoutSeconds}s}]}
`;
}

/** A rule of "web" with subsets and a limit of connections. */
export function destinationRuleOf(maxConnections: number): string {
  return `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web, namespace: shop}
spec:
  host: web
  trafficPolicy: {connectionPool: {tcp: {maxConnections: ${maxConnections}}}}
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
`;
}

export const shopMesh: string = [
  serviceOf("web", "10.96.0.1"),
  serviceOf("cart", "10.96.0.2"),
  serviceOf("db", "None"),
  sliceOf("web", ["10.0.0.11", "10.0.0.12"]),
  sliceOf("cart", ["10.0.0.21"]),
  sliceOf("db", ["10.0.0.31"]),
  podOf("web", "10.0.0.11"),
  podOf("web", "10.0.0.12", "v2"),
  podOf("cart", "10.0.0.21"),
  podOf("db", "10.0.0.31"),
].join("---\n");

/** Nodes of the shop's pods. */
export function shopNode(app: string, address: string, version = "v1") {
  const pod = `${app}-${address.split(".").at(-1)}`;
  return { id: `sidecar~${address}~${pod}.shop~shop.svc.cluster.local`, labels: { app, version } };
}
