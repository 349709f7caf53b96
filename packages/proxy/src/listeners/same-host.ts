import type { AcceptedSocket } from "./accepted-socket.ts";

/** These two alone, as Envoy has it: the others of 127.0.0.0/8 may be a mesh's own names for somebody else. */
export function isLoopback(ip: string): boolean {
  return ip === "127.0.0.1" || ip === "::1";
}

/** True where the client is on this host: by Unix socket, by loopback, or from the address that it connected to. */
export function isSameIpOrLoopback({
  localAddress,
  remoteAddress,
}: Pick<AcceptedSocket, "localAddress" | "remoteAddress">): boolean {
  const { ip } = remoteAddress;
  return ip === localAddress.ip || isLoopback(ip) || ip.includes("/");
}
