import type { AcceptedSocket } from "./accepted-socket.ts";

/** True where the client is on this host: by Unix socket, by loopback, or from the address that it connected to. */
export function isSameIpOrLoopback({
  localAddress,
  remoteAddress,
}: Pick<AcceptedSocket, "localAddress" | "remoteAddress">): boolean {
  const { ip } = remoteAddress;
  return ip === localAddress.ip || ip === "::1" || ip.startsWith("127.") || ip.includes("/");
}
