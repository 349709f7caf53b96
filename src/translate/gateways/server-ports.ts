import type { ScopeView } from "../scope.ts";

/** On a Service: its ports are not those that Gateways name. */
export const disablePortTranslationLabel = "experimental.istio.io/disable-gateway-port-translation";

/**
 * Ports of the services in front of the proxy and the ports on which the proxy itself listens for them; the first
 * service with a port wins. A port that is not in it is bound as it is (Istio: model/gateway.go resolvePorts).
 */
export function derivePortMap(view: ScopeView): ReadonlyMap<number, number> {
  const ports = new Map<number, number>();
  for (const { hostname, namespace, port, targetPort } of view.key.targets) {
    const service = view.snapshot.services.find(hostname, namespace);
    if (ports.has(port) || service?.labels[disablePortTranslationLabel] !== undefined) continue;
    ports.set(port, targetPort);
  }
  return ports;
}
