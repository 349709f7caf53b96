import { isUnixAddress, parseUnixPath } from "../lib/host-port.ts";
import { parseProtocol } from "../lib/protocol.ts";
import type { Findings, Path } from "./findings.ts";
import { isAddress } from "./rules.ts";

/** Checks "unix:///path" or "unix://@name" (ValidateUnixAddress of Istio's pkg/config/validation). */
export function checkUnixAddress(address: string, path: Path, findings: Findings): void {
  const socket = parseUnixPath(address) ?? "";
  if (!socket.startsWith("@") && (!socket.startsWith("/") || socket.endsWith("/"))) {
    findings.error(
      path,
      `"${address}" is not the absolute path of a socket, as in unix:///var/run/app.sock`,
      "address",
    );
  }
}

/** Checks an address to listen on: an IP address or, where `sockets` says so, a Unix socket. Empty is fine. */
export function checkBind(
  bind: string | undefined,
  at: { readonly path: Path; readonly sockets: "may be a socket" | "no sockets" },
  findings: Findings,
): void {
  if (bind === undefined || bind === "") return;
  if (at.sockets === "may be a socket" && isUnixAddress(bind)) checkUnixAddress(bind, at.path, findings);
  else if (!isAddress(bind)) {
    const words = at.sockets === "may be a socket" ? "an IP address or unix:// path" : "an IP address";
    findings.error(at.path, `"${bind}" is not ${words}`, "address");
  }
}

/** True for the protocols that users may give to ports. */
export function isPortProtocol(text: string): boolean {
  return parseProtocol(text) !== "Unsupported";
}
