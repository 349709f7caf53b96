import { hasExtension } from "../capabilities.ts";
import type { ScopeView } from "../scope.ts";
import { quicSocketName } from "../security/transport-socket.ts";

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

/**
 * Ports of UDP of the services in front of the proxy: on these HTTPS servers are there over HTTP/3 as well, where the
 * operator asks for it (Istio: C222).
 */
export function listHttp3Ports({ key, snapshot }: ScopeView): ReadonlySet<number> {
  const ports = new Set<number>();
  if (!snapshot.features.quicListeners || !hasExtension(key.capabilities, quicSocketName)) return ports;
  for (const { hostname, namespace, port } of key.targets) {
    const service = snapshot.services.find(hostname, namespace);
    if (service?.ports.some((candidate) => candidate.number === port && candidate.protocol === "UDP") === true) {
      ports.add(port);
    }
  }
  return ports;
}
