/** What the proxy does with connections to a server. Rules: Istio pkg/config/gateway. */
import type { Server } from "../../api/gateway/schema.ts";
import { isHttp, parseProtocol } from "../../lib/protocol.ts";

export type ServerKind =
  | "http" // plain HTTP, also where it only redirects to HTTPS
  | "https" // ends TLS, then HTTP
  | "tcp" // plain TCP
  | "tlsTcp" // ends TLS, then TCP
  | "passthrough" // routes TLS by its server name, unopened
  | "autoPassthrough"; // as passthrough, to the service that the server name spells out

export function classifyServer({ port, tls }: Server): ServerKind {
  const protocol = parseProtocol(port.protocol);
  if (isHttp(protocol)) return "http";
  if (tls === undefined) return "tcp";
  const { mode = "PASSTHROUGH" } = tls;
  if (mode === "AUTO_PASSTHROUGH") return "autoPassthrough";
  if (mode === "PASSTHROUGH") return "passthrough";
  return protocol === "HTTPS" ? "https" : "tlsTcp";
}

/** True for servers whose connections start with a TLS handshake, so that several can share a port by server names. */
export function isTlsKind(kind: ServerKind): boolean {
  return kind !== "http" && kind !== "tcp";
}
