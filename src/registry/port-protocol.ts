import { type Protocol, parseProtocol } from "../lib/protocol.ts";

/** What decides the protocol of a port of a Kubernetes service. */
export interface PortDeclaration {
  readonly name: string;
  readonly port: number;
  readonly protocol: string;
  readonly appProtocol?: string;
}

// Ports on which the server speaks first or that are rarely HTTP: waiting for the client's first bytes would only delay.
const portsWithoutSniffing: ReadonlySet<number> = new Set([25, 53, 3306, 27017]);

// Protocol names that Kubernetes itself defines for appProtocol.
const kubernetesAppProtocols: ReadonlyMap<string, Protocol> = new Map([
  ["kubernetes.io/h2c", "HTTP2"],
  ["kubernetes.io/ws", "HTTP"],
  ["kubernetes.io/wss", "HTTPS"],
]);

/**
 * The application protocol of a port: UDP, then appProtocol if there is one, otherwise the text of the port's name before
 * the first "-" ("grpc-web" keeps its own dash). Where that says nothing, well-known ports are TCP and all others
 * "Unsupported", which means: look at the first bytes (Istio: pkg/config/kube/conversion.go).
 */
export function derivePortProtocol(declaration: PortDeclaration): Protocol {
  if (declaration.protocol === "UDP") return "UDP";
  const stated = declaration.appProtocol ?? declaration.name;
  const protocol = kubernetesAppProtocols.get(stated) ?? parseProtocolWord(stated);
  if (protocol === "Unsupported" && portsWithoutSniffing.has(declaration.port)) return "TCP";
  return protocol;
}

function parseProtocolWord(text: string): Protocol {
  if (text.toLowerCase().startsWith("grpc-web")) return "GRPC-Web";
  const dash = text.indexOf("-");
  return parseProtocol(dash < 0 ? text : text.slice(0, dash));
}
