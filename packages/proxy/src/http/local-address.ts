/** The address of this machine, which stands for a loopback peer in x-forwarded-for. */
import { networkInterfaces } from "node:os";

/** The first IPv4 address of this machine that is none of the loopback; "127.0.0.1" where there is none. */
export function findLocalAddress(): string {
  for (const addresses of Object.values(networkInterfaces())) {
    for (const { address, family, internal } of addresses ?? []) if (family === "IPv4" && !internal) return address;
  }
  return "127.0.0.1";
}
