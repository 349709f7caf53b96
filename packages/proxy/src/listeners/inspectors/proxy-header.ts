/**
 * Headers of the PROXY protocol, versions 1 (a line of text) and 2 (binary), by HAProxy's specification. Envoy's
 * readings where it leaves room: of the fields of version 2 only TCP and UDP over IP are taken.
 */
import { isIPv4, isIPv6 } from "node:net";
import type { Address } from "../connection.ts";

export interface ProxyTlv {
  readonly type: number;
  readonly value: Uint8Array;
}

export interface ProxyHeader {
  readonly version: 1 | 2;
  /** Bytes of the header, with its extensions. */
  readonly length: number;
  /** Undefined where the proxy speaks for itself (LOCAL, UNKNOWN): the addresses of the connection are right. */
  readonly addresses: { readonly source: Address; readonly destination: Address } | undefined;
  readonly tlvs: readonly ProxyTlv[];
}

export type ParsedProxyHeader =
  | { readonly kind: "more" }
  /** The bytes cannot become a header of either version. */
  | { readonly kind: "none" }
  | { readonly kind: "malformed"; readonly version: 1 | 2 }
  | { readonly kind: "header"; readonly header: ProxyHeader };

const signatureOfV2 = Buffer.from("0d0a0d0a000d0a515549540a", "hex");
const signatureOfV1 = Buffer.from("PROXY", "latin1");
/** Envoy's limit; the specification says 107 with CR LF. */
const maxLengthOfV1 = 108;
const headLengthOfV2 = 16;

const ipTests: ReadonlyMap<string, (text: string) => boolean> = new Map([
  ["TCP4", isIPv4],
  ["TCP6", isIPv6],
]);

const more: ParsedProxyHeader = { kind: "more" };

export function parseProxyHeader(bytes: Buffer): ParsedProxyHeader {
  if (beginsWith(bytes, signatureOfV2)) return bytes.length < headLengthOfV2 ? more : parseV2(bytes);
  if (beginsWith(bytes, signatureOfV1)) return bytes.length < signatureOfV1.length ? more : parseV1(bytes);
  return { kind: "none" };
}

/** True where the bytes that there are agree with the signature. */
function beginsWith(bytes: Buffer, signature: Buffer): boolean {
  const length = Math.min(bytes.length, signature.length);
  return bytes.compare(signature, 0, length, 0, length) === 0;
}

function parseV1(bytes: Buffer): ParsedProxyHeader {
  const end = bytes.subarray(0, maxLengthOfV1).indexOf("\r\n");
  if (end < 0) return bytes.length < maxLengthOfV1 ? more : malformed(1);
  const parts = bytes.toString("latin1", 0, end).trimEnd().split(" ");
  const [word, family, source = "", destination = "", sourcePort = "", destinationPort = ""] = parts;
  if (word !== "PROXY" || family === undefined) return malformed(1);
  const length = end + 2;
  if (family === "UNKNOWN") return { kind: "header", header: { version: 1, length, addresses: undefined, tlvs: [] } };
  const isIp = ipTests.get(family);
  if (isIp === undefined || parts.length !== 6) return malformed(1);
  const addresses = {
    source: { ip: source, port: parsePort(sourcePort) },
    destination: { ip: destination, port: parsePort(destinationPort) },
  };
  if (!isIp(source) || !isIp(destination) || !areUsable(addresses)) return malformed(1);
  return { kind: "header", header: { version: 1, length, addresses, tlvs: [] } };
}

function parsePort(text: string): number {
  return /^\d{1,5}$/.test(text) ? Number(text) : -1;
}

function parseV2(bytes: Buffer): ParsedProxyHeader {
  const versionAndCommand = bytes.readUInt8(12);
  const family = bytes.readUInt8(13);
  const restLength = bytes.readUInt16BE(14);
  const length = headLengthOfV2 + restLength;
  if (versionAndCommand >> 4 !== 2) return malformed(2);
  const command = versionAndCommand & 0xf;
  if (command === 0) {
    if (bytes.length < length) return more;
    return { kind: "header", header: { version: 2, length, addresses: undefined, tlvs: [] } };
  }
  const size = { 1: 4, 2: 16 }[family >> 4];
  const isKnownTransport = (family & 0xf) === 1 || (family & 0xf) === 2;
  if (command !== 1 || size === undefined || !isKnownTransport) return malformed(2);
  const addressLength = 2 * size + 4;
  if (restLength < addressLength) return malformed(2);
  if (bytes.length < length) return more;
  const body = bytes.subarray(headLengthOfV2, length);
  const addresses = {
    source: { ip: formatIp(body.subarray(0, size)), port: body.readUInt16BE(2 * size) },
    destination: { ip: formatIp(body.subarray(size, 2 * size)), port: body.readUInt16BE(2 * size + 2) },
  };
  const tlvs = parseTlvs(body.subarray(addressLength));
  if (tlvs === undefined || !areUsable(addresses)) return malformed(2);
  return { kind: "header", header: { version: 2, length, addresses, tlvs } };
}

/** Undefined where one is longer than what is left. */
function parseTlvs(bytes: Buffer): readonly ProxyTlv[] | undefined {
  const tlvs: ProxyTlv[] = [];
  let offset = 0;
  while (offset < bytes.length) {
    if (offset + 3 > bytes.length) return undefined;
    const type = bytes.readUInt8(offset);
    const end = offset + 3 + bytes.readUInt16BE(offset + 1);
    if (end > bytes.length) return undefined;
    tlvs.push({ type, value: bytes.subarray(offset + 3, end) });
    offset = end;
  }
  return tlvs;
}

function formatIp(bytes: Buffer): string {
  if (bytes.length === 4) return [...bytes].join(".");
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(2 * index).toString(16));
  // The platform's own short form (RFC 5952).
  return new URL(`http://[${groups.join(":")}]`).hostname.slice(1, -1);
}

/** TCP goes from one single host to another. */
function areUsable({ source, destination }: { readonly source: Address; readonly destination: Address }): boolean {
  return [source, destination].every(({ ip, port }) => port >= 0 && port <= 65_535 && isUnicast(ip));
}

function isUnicast(ip: string): boolean {
  if (!isIPv4(ip)) return ip !== "::" && !ip.toLowerCase().startsWith("ff");
  const first = Number.parseInt(ip, 10);
  return ip !== "0.0.0.0" && ip !== "255.255.255.255" && (first < 224 || first > 239);
}

function malformed(version: 1 | 2): ParsedProxyHeader {
  return { kind: "malformed", version };
}
