import { isIPv4 } from "node:net";

/**
 * True for an address of this machine itself: 127.0.0.0/8, ::1, and the former written as IPv6. Debug pages answer only
 * such requests, because nothing else proves who asks (Istio's rule for requests without a credential).
 */
export function isLoopbackAddress(address: string | undefined): boolean {
  if (address === undefined) return false;
  const plain = address.startsWith("::ffff:") ? address.slice("::ffff:".length) : address;
  return isIPv4(plain) ? plain.startsWith("127.") : plain === "::1";
}
