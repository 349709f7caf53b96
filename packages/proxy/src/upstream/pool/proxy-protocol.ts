/** Headers of the PROXY protocol, versions 1 and 2 (haproxy.org/download/2.9/doc/proxy-protocol.txt), as sent to hosts. */
import { isIPv4, isIPv6 } from "node:net";
import type { Address, DownstreamConnection } from "../../listeners/connection.ts";

export type ProxyProtocolVersion = "V1" | "V2";

const signature = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1");

/** What goes out before anything else: who called, and where; "unknown" where nobody did (health checks, Unix sockets). */
export function encodeProxyHeader(version: ProxyProtocolVersion, downstream: DownstreamConnection | undefined): Buffer {
  const [source, target] = [downstream?.remoteAddress, downstream?.localAddress];
  const isKnown = source !== undefined && target !== undefined && familyOf(source) === familyOf(target);
  const family = isKnown ? familyOf(source) : undefined;
  if (family === undefined || source === undefined || target === undefined) {
    // Version 2 calls it LOCAL: the connection is the proxy's own.
    return version === "V1" ? Buffer.from("PROXY UNKNOWN\r\n", "latin1") : Buffer.from([...signature, 0x20, 0, 0, 0]);
  }
  if (version === "V1") {
    const line = `PROXY TCP${family} ${source.ip} ${target.ip} ${source.port} ${target.port}\r\n`;
    return Buffer.from(line, "latin1");
  }
  const [from, to] = [encodeIp(source.ip), encodeIp(target.ip)];
  const rest = Buffer.alloc(4);
  rest.writeUInt16BE(source.port, 0);
  rest.writeUInt16BE(target.port, 2);
  const length = from.length + to.length + rest.length;
  return Buffer.concat([signature, Buffer.from([0x21, family === 4 ? 0x11 : 0x21, 0, length]), from, to, rest]);
}

/** What a pool of connections with such headers is told apart by: a connection serves the one caller that it names. */
export function keyOfCaller(downstream: DownstreamConnection | undefined): string {
  if (downstream === undefined) return "";
  const { remoteAddress, localAddress } = downstream;
  return `${remoteAddress.ip} ${remoteAddress.port} ${localAddress.ip} ${localAddress.port}`;
}

function familyOf({ ip }: Address): 4 | 6 | undefined {
  if (isIPv4(ip)) return 4;
  return isIPv6(ip) ? 6 : undefined;
}

function encodeIp(ip: string): Buffer {
  if (isIPv4(ip)) return Buffer.from(ip.split(".").map(Number));
  const { words } = parseIpv6(ip);
  const bytes = Buffer.alloc(16);
  for (const [index, word] of words.entries()) bytes.writeUInt16BE(word, 2 * index);
  return bytes;
}

function parseIpv6(ip: string): { readonly words: readonly number[] } {
  // "::ffff:1.2.3.4" ends in two words, written as four numbers.
  const plain = ip.split("%")[0]?.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, ...parts: string[]) => {
    const [a = 0, b = 0, c = 0, d = 0] = parts.slice(0, 4).map(Number);
    return `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
  });
  const [head = "", tail = ""] = (plain ?? "").split("::");
  const [before, after] = [head, tail].map((side) => (side === "" ? [] : side.split(":")));
  const missing = 8 - (before?.length ?? 0) - (after?.length ?? 0);
  const words = [...(before ?? []), ...new Array<string>(Math.max(0, missing)).fill("0"), ...(after ?? [])];
  return { words: words.map((word) => Number.parseInt(word, 16)) };
}
