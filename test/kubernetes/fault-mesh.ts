/** The mesh that faults are done to: services with endpoints, routing for sidecars and for a gateway. */
import { struct } from "@meltemi/protos";
import type { ProxyIdentity } from "./watching-proxy.ts";

export interface ProxyPlace {
  /** Identity of one proxy of this place; all of one place are told the same. */
  node(serial: number): ProxyIdentity;
}

const metadataOf = (namespace: string, labels: Readonly<Record<string, string>>): object =>
  struct({
    NAMESPACE: namespace,
    LABELS: labels,
    CLUSTER_ID: "Kubernetes",
    ISTIO_VERSION: "1.28.0",
  });

export const sidecar: ProxyPlace = {
  node: (serial) => ({
    id: `sidecar~10.1.9.${serial}~client-${serial}.shop~shop.svc.cluster.local`,
    metadata: metadataOf("shop", { app: "client" }),
  }),
};
export const gateway: ProxyPlace = {
  node: (serial) => ({
    id: `router~10.1.8.${serial}~gateway-${serial}.istio-system~istio-system.svc.cluster.local`,
    metadata: metadataOf("istio-system", { istio: "ingressgateway" }),
  }),
};
export const proxyPlaces: readonly ProxyPlace[] = [sidecar, gateway];

const services = ["cart", "catalog", "checkout", "users"];

/** Everything as YAML: applied with kubectl, as a person would. */
export function baseObjects(): string {
  const namespaces = ["shop", "istio-system"].map(
    (name) => `apiVersion: v1
kind: Namespace
metadata: {name: ${name}}`,
  );
  return [
    ...namespaces,
    ...services.flatMap((name, index) => [serviceOf(name), sliceOf(name, [`10.1.0.${index + 1}`])]),
    routing,
  ].join("\n---\n");
}

export function serviceOf(name: string, port = 80): string {
  return `apiVersion: v1
kind: Service
metadata: {name: ${name}, namespace: shop}
spec:
  selector: {app: ${name}}
  ports: [{name: http, port: ${port}, targetPort: 8080}]`;
}

export function sliceOf(service: string, addresses: readonly string[], name = `${service}-1`): string {
  return `apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: ${name}
  namespace: shop
  labels: {kubernetes.io/service-name: ${service}}
addressType: IPv4
ports: [{name: http, port: 8080, protocol: TCP}]
endpoints:
${addresses.map((address) => `- {addresses: [${address}], conditions: {ready: true}}`).join("\n")}`;
}

/** A VirtualService of cart with so many retries: a change that every proxy is told. */
export function virtualServiceOf(attempts: number, name = "cart", host = name): string {
  return `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ${name}, namespace: shop}
spec:
  hosts: [${host}.shop.svc.cluster.local]
  http:
  - retries: {attempts: ${attempts}}
    route: [{destination: {host: ${host}.shop.svc.cluster.local}}]`;
}

const routing = `${virtualServiceOf(1)}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: catalog, namespace: shop}
spec:
  host: catalog.shop.svc.cluster.local
  trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: public, namespace: istio-system}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 80, name: http, protocol: HTTP}
    hosts: ["*"]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: public, namespace: shop}
spec:
  hosts: ["*"]
  gateways: [istio-system/public]
  http:
  - route: [{destination: {host: cart.shop.svc.cluster.local, port: {number: 80}}}]`;
