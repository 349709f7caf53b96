/**
 * Application protocols of service ports and how they are named (Istio: pkg/config/protocol/instance.go).
 * "Unsupported" means unknown: the proxy finds out by looking at the first bytes.
 */
export type Protocol =
  | "TCP"
  | "UDP"
  | "GRPC"
  | "GRPC-Web"
  | "HTTP"
  | "HTTP_PROXY"
  | "HTTP2"
  | "HTTPS"
  | "TLS"
  | "Mongo"
  | "Redis"
  | "MySQL"
  | "Unsupported";

const byName: ReadonlyMap<string, Protocol> = new Map([
  ["tcp", "TCP"],
  ["udp", "UDP"],
  ["grpc", "GRPC"],
  ["grpc-web", "GRPC-Web"],
  ["http", "HTTP"],
  ["http_proxy", "HTTP_PROXY"],
  ["http2", "HTTP2"],
  ["https", "HTTPS"],
  ["tls", "TLS"],
  ["mongo", "Mongo"],
  ["redis", "Redis"],
  ["mysql", "MySQL"],
]);

/** Parses a protocol as users write it ("http", "HTTP2", "MONGO", "grpc-web"); unknown words give "Unsupported". */
export function parseProtocol(text: string): Protocol {
  return byName.get(text.toLowerCase()) ?? "Unsupported";
}

const httpFamily: ReadonlySet<Protocol> = new Set(["HTTP", "HTTP2", "HTTP_PROXY", "GRPC", "GRPC-Web"]);
const http2Family: ReadonlySet<Protocol> = new Set(["HTTP2", "GRPC", "GRPC-Web"]);
const tcpFamily: ReadonlySet<Protocol> = new Set(["TCP", "HTTPS", "TLS", "Mongo", "Redis", "MySQL"]);

export const isHttp = (protocol: Protocol): boolean => httpFamily.has(protocol);
export const isHttp2 = (protocol: Protocol): boolean => http2Family.has(protocol);
export const isTcp = (protocol: Protocol): boolean => tcpFamily.has(protocol);
export const isTls = (protocol: Protocol): boolean => protocol === "HTTPS" || protocol === "TLS";
export const isUnsupported = (protocol: Protocol): boolean => protocol === "Unsupported";
