/** A connection of a client, from its acceptance to its end: what network filters, HTTP and logs know of it. */
import type { Duplex } from "node:stream";
import type { FilterStateObject, StreamInfo } from "../http/stream-info.ts";

export interface Address {
  /** IPv4 or IPv6 without brackets; the path of a Unix socket. */
  readonly ip: string;
  /** 0 for a Unix socket. */
  readonly port: number;
}

/** "1.2.3.4:80", "[::1]:80", or the path of a Unix socket. */
export function formatAddress({ ip, port }: Address): string {
  if (port === 0 && ip.includes("/")) return ip;
  return ip.includes(":") ? `[${ip}]:${port}` : `${ip}:${port}`;
}

/** What TLS told of the client. */
export interface TlsInfo {
  readonly version: string;
  readonly cipher: string;
  readonly sni: string;
  readonly alpn: string;
  readonly sessionId: string;
  readonly local: CertificateInfo | undefined;
  /** Undefined where the client showed none. */
  readonly peer: CertificateInfo | undefined;
  /** True where the client's certificate was verified against the trusted authorities. */
  readonly isPeerVerified: boolean;
}

export interface CertificateInfo {
  readonly subject: string;
  readonly issuer: string;
  /** Lower-case hexadecimal without colons. */
  readonly serialNumber: string;
  readonly sha256: string;
  readonly uriSans: readonly string[];
  readonly dnsSans: readonly string[];
  readonly ipSans: readonly string[];
  readonly validFromMs: number;
  readonly validToMs: number;
  /** PEM. */
  readonly pem: string;
}

export interface DownstreamConnection {
  /** Counts up from 1 in a process. */
  readonly id: number;
  /** Above TLS; what came already and was looked at has been put back. */
  readonly stream: Duplex;
  /** Where the client connected to; the original destination where that was found. */
  readonly localAddress: Address;
  /** True where `localAddress` is what the client wanted before it was redirected: ORIGINAL_DST clusters need that. */
  readonly isLocalAddressRestored?: boolean | undefined;
  /** The client; by PROXY protocol where that is spoken. */
  readonly remoteAddress: Address;
  /** The peer of the socket itself. */
  readonly directRemoteAddress: Address;
  /** Server name of the TLS client hello, also where TLS is passed through; "" where there is none. */
  readonly sni: string;
  /** What the inspectors found or TLS agreed on, such as "h2" or "istio-http/1.1"; the first is the agreed one. */
  readonly applicationProtocols: readonly string[];
  readonly tls: TlsInfo | undefined;
  readonly filterState: Map<string, FilterStateObject>;
  readonly info: StreamInfo;
  /** True from the moment at which the listener drains: the last response says so. */
  readonly isDraining: boolean;
  onDrain(run: () => void): void;
  /** Calls `run` once when the connection is over, or at once where it is. */
  onClose(run: () => void): void;
  /** Ends the connection; `details` go to the log. "flush" lets go out what was written. */
  close(how: "flush" | "reset", details?: string): void;
}
