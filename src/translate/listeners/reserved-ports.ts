/** Ports that a listener cannot have (Istio: model/context.go, CanBindToPort). */
import type { MeshConfig } from "../../api/mesh-config/schema.ts";
import { isHttp, type Protocol } from "../../lib/protocol.ts";
import { wildcardOf } from "../address.ts";
import type { ScopeKey } from "../scope.ts";

/** Listeners of the proxy's bootstrap on all addresses: its health and its metrics. */
const bootstrapPorts: ReadonlySet<number> = new Set([15021, 15090]);
const firstUnprivilegedPort = 1024;

export interface PortRequest {
  /** Undefined where it follows from the service: all addresses for HTTP, its own for TCP. */
  readonly bind: string | undefined;
  readonly port: number;
  readonly protocol: Protocol;
  readonly bindsToPort: boolean;
}

/**
 * True where the proxy can listen: it may bind the port, and no listener of the bootstrap, nor one of those that take
 * redirected traffic (`mesh`; undefined where only the bootstrap counts), stands there already.
 */
export function canListen(key: ScopeKey, request: PortRequest, mesh: MeshConfig | undefined): boolean {
  const { bind, port, protocol, bindsToPort } = request;
  if (bindsToPort && !key.privileged && port > 0 && port < firstUnprivilegedPort) return false;
  const isOnAll = bind === undefined ? isHttp(protocol) : bind === wildcardOf(key);
  if (!isOnAll) return true;
  return !bootstrapPorts.has(port) && port !== mesh?.proxyListenPort && port !== mesh?.proxyInboundListenPort;
}
