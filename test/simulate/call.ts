/** What is simulated: one connection, or one request on it, as a proxy meets it. */

/** An address and port; `port` is 0 where only the address matters. */
export interface HostPort {
  readonly host: string;
  readonly port: number;
}

export interface CallTls {
  /** Server name of the ClientHello; none where it is left out. */
  readonly sni?: string;
  /** Protocols that the client offers, in its order; by default what `protocol` needs. */
  readonly alpn?: readonly string[];
  /** True where the client has a certificate that the proxy trusts. */
  readonly certificate?: boolean;
}

/**
 * `outbound` leaves an application through interception (port 15001), `inbound` arrives through it (port 15006), and
 * `direct` goes to an address that the proxy itself listens at: gateways, HTTP proxies, captured ports without iptables.
 */
export type Direction = "outbound" | "inbound" | "direct";
/** What the client speaks: `h2` is HTTP/2, with prior knowledge where there is no TLS. */
export type CallProtocol = "tcp" | "http/1.0" | "http/1.1" | "h2";

/** A call as tables and golden heads write it. */
export interface Call {
  /** Where the client connects to, before any interception: "10.0.0.1:80", "[fd00::1]:80". */
  readonly to: string;
  /** Where it comes from; a client outside the mesh by default. */
  readonly from?: string;
  /** The peer that the socket shows where `from` came by the PROXY protocol; by default the same. */
  readonly directFrom?: string;
  /** By default `outbound` where the proxy intercepts connections, else `direct`. */
  readonly direction?: Direction;
  /** By default HTTP/1.1 where `path` or `host` is given, else TCP. */
  readonly protocol?: CallProtocol;
  /** "mesh" is a peer's sidecar: a trusted certificate, and the ALPN that Istio's proxies send. */
  readonly tls?: "mesh" | CallTls;
  readonly method?: string;
  /** With the query, "/" by default. */
  readonly path?: string;
  /** Host or :authority header; by default `to`. */
  readonly host?: string;
  readonly headers?: { readonly [name: string]: string };
  /** Dynamic metadata that filters before the router have left, by filter. */
  readonly metadata?: { readonly [filter: string]: unknown };
  /** The dice of this call, 0 to below 100: a fraction of n percent holds where it is below n. By default 0. */
  readonly sample?: number;
}

/** A call with every default in its place. */
export interface PlannedCall {
  readonly to: HostPort;
  readonly from: HostPort;
  readonly directFrom: HostPort;
  readonly direction: Direction;
  readonly protocol: CallProtocol;
  readonly tls: { readonly sni: string; readonly alpn: readonly string[]; readonly certificate: boolean } | undefined;
  readonly method: string;
  readonly path: string;
  readonly host: string;
  /** Lower-case names, pseudo headers excluded. */
  readonly headers: ReadonlyMap<string, string>;
  readonly metadata: { readonly [filter: string]: unknown };
  readonly sample: number;
}

const outsideClient = "192.0.2.1:40000";
export const callFields: ReadonlySet<string> = new Set([
  "to",
  "from",
  "directFrom",
  "direction",
  "protocol",
  "tls",
  "method",
  "path",
  "host",
  "headers",
  "metadata",
  "sample",
] satisfies readonly (keyof Call)[]);

// What Istio's ALPN filter and its TCP clusters offer to a peer.
const meshAlpn: Readonly<Record<CallProtocol, readonly string[]>> = {
  tcp: ["istio-peer-exchange", "istio"],
  "http/1.0": ["istio-http/1.0", "istio", "http/1.0"],
  "http/1.1": ["istio-http/1.1", "istio", "http/1.1"],
  h2: ["istio-h2", "istio", "h2"],
};

/** Puts defaults in place. Throws on an address that is none. */
export function planCall(call: Call, intercepts: boolean): PlannedCall {
  const isHttp = call.path !== undefined || call.host !== undefined || call.method !== undefined;
  const protocol = call.protocol ?? (isHttp ? "http/1.1" : "tcp");
  const from = parseHostPort(call.from ?? outsideClient);
  return {
    to: parseHostPort(call.to),
    from,
    directFrom: call.directFrom === undefined ? from : parseHostPort(call.directFrom),
    direction: call.direction ?? (intercepts ? "outbound" : "direct"),
    protocol,
    tls: planTls(call.tls, protocol),
    method: call.method ?? "GET",
    path: call.path ?? "/",
    host: call.host ?? call.to,
    headers: new Map(Object.entries(call.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value])),
    metadata: call.metadata ?? {},
    sample: call.sample ?? 0,
  };
}

/** Reads "10.0.0.1:80", "[::1]:80" or an address alone. Throws where the port is none. */
export function parseHostPort(text: string): HostPort {
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:]*))(?::(\d+))?$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined || host === "")
    throw new Error(`"${text}" is not an address with a port, such as 10.0.0.1:80`);
  return { host, port: Number(port ?? 0) };
}

function planTls(tls: Call["tls"], protocol: CallProtocol): PlannedCall["tls"] {
  if (tls === undefined) return undefined;
  if (tls === "mesh") return { sni: "", alpn: meshAlpn[protocol], certificate: true };
  const alpn = tls.alpn ?? (protocol === "tcp" ? [] : [protocol]);
  return { sni: (tls.sni ?? "").toLowerCase(), alpn, certificate: tls.certificate ?? false };
}
