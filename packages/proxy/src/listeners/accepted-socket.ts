import type { Socket } from "node:net";
import type { FilterStateObject } from "../http/stream-info.ts";
import type { Address } from "./connection.ts";

/** A socket between its acceptance and its filter chain: listener filters fill in what they find. */
export interface AcceptedSocket {
  readonly socket: Socket;
  readonly directRemoteAddress: Address;
  localAddress: Address;
  remoteAddress: Address;
  /** True where a listener filter found where the client really wanted to go. */
  isLocalAddressRestored: boolean;
  /** Lower case; "" where none was found. */
  sni: string;
  applicationProtocols: readonly string[];
  /** "tls" or "raw_buffer"; "" until it is known. */
  transportProtocol: string;
  readonly filterState: Map<string, FilterStateObject>;
  readonly dynamicMetadata: Map<string, Record<string, unknown>>;
}

/** Notes down where a socket that was just accepted comes from and went to. `fallback` is for Unix sockets. */
export function noteAcceptedSocket(socket: Socket, fallback: Address): AcceptedSocket {
  const remote: Address =
    socket.remoteAddress === undefined
      ? { ip: fallback.ip, port: 0 }
      : { ip: plainIp(socket.remoteAddress), port: socket.remotePort ?? 0 };
  const local: Address =
    socket.localAddress === undefined
      ? fallback
      : { ip: plainIp(socket.localAddress), port: socket.localPort ?? fallback.port };
  return {
    socket,
    directRemoteAddress: remote,
    localAddress: local,
    remoteAddress: remote,
    isLocalAddressRestored: false,
    sni: "",
    applicationProtocols: [],
    transportProtocol: "",
    filterState: new Map(),
    dynamicMetadata: new Map(),
  };
}

/** An IPv4 client of a socket of both families is an IPv4 address. */
function plainIp(ip: string): string {
  return ip.startsWith("::ffff:") && ip.includes(".") ? ip.slice(7) : ip;
}
