/** Addresses as text: hosts with ports and Unix sockets. */

const unixPrefix = "unix://";

/** True for "unix:///path" (and "unix://@name"). */
export function isUnixAddress(address: string): boolean {
  return address.startsWith(unixPrefix);
}

/** The path of a Unix socket; undefined for other addresses. */
export function parseUnixPath(address: string): string | undefined {
  return isUnixAddress(address) ? address.slice(unixPrefix.length) : undefined;
}

/** `host:port`, with brackets around an IPv6 address. */
export function joinHostPort(host: string, port: number): string {
  return `${bracketAddress(host)}:${port}`;
}

/** An IPv6 address in brackets, everything else as it is. */
export function bracketAddress(host: string): string {
  return host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
}
