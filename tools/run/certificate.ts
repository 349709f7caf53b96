/**
 * A self-signed certificate for the sample's HTTPS port. Node makes keys and signatures but no certificates, and openssl
 * may be missing, so the few fields of one X.509 v3 certificate (RFC 5280, 4.1) are written as DER here.
 */
import { generateKeyPairSync, randomBytes, sign } from "node:crypto";

export interface CertificatePair {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

const dayMs = 86_400_000;

/** Makes an ECDSA P-256 key and a certificate for `hosts`, valid from yesterday for a year. */
export function createSelfSigned(hosts: readonly string[], nowMs: number): CertificatePair {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const algorithm = sequence(objectId(ecdsaWithSha256));
  const name = sequence(set(sequence(objectId(commonName), utf8(hosts[0] ?? "localhost"))));
  const alternatives = sequence(...hosts.map((host) => tagged(0x82, Buffer.from(host, "ascii"))));
  const body = sequence(
    tagged(0xa0, integer(Buffer.from([2]))),
    integer(randomBytes(16)),
    algorithm,
    name,
    sequence(time(nowMs - dayMs), time(nowMs + 365 * dayMs)),
    name,
    publicKey.export({ type: "spki", format: "der" }),
    tagged(0xa3, sequence(sequence(objectId(subjectAltName), tagged(0x04, alternatives)))),
  );
  const certificate = sequence(body, algorithm, bitString(sign("sha256", body, privateKey)));
  return {
    certificatePem: toPem("CERTIFICATE", certificate),
    privateKeyPem: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
  };
}

// Object identifiers, already encoded: 1.2.840.10045.4.3.2, 2.5.4.3, 2.5.29.17.
const ecdsaWithSha256 = "2a8648ce3d040302";
const commonName = "550403";
const subjectAltName = "551d11";

function tagged(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  return Buffer.concat([Buffer.from([tag]), encodeLength(content.length), content]);
}

function encodeLength(length: number): Buffer {
  if (length < 0x80) return Buffer.from([length]);
  if (length < 0x100) return Buffer.from([0x81, length]);
  return Buffer.from([0x82, length >> 8, length & 0xff]);
}

const sequence = (...parts: readonly Uint8Array[]): Buffer => tagged(0x30, ...parts);
const set = (...parts: readonly Uint8Array[]): Buffer => tagged(0x31, ...parts);
const objectId = (hex: string): Buffer => tagged(0x06, Buffer.from(hex, "hex"));
const utf8 = (text: string): Buffer => tagged(0x0c, Buffer.from(text, "utf8"));
const bitString = (bytes: Uint8Array): Buffer => tagged(0x03, Buffer.from([0]), bytes);

/** A positive integer: the first bit must not be set, and there may be no needless zero in front. */
function integer(bytes: Uint8Array): Buffer {
  const positive = Buffer.from(bytes);
  positive[0] = (positive[0] ?? 0) & 0x7f || 1;
  return tagged(0x02, positive);
}

/** UTCTime: YYMMDDHHMMSSZ, which RFC 5280 asks for until 2049. */
function time(epochMs: number): Buffer {
  const digits = new Date(epochMs).toISOString().replaceAll(/[-:T]/g, "");
  return tagged(0x17, Buffer.from(`${digits.slice(2, 14)}Z`, "ascii"));
}

function toPem(label: string, der: Buffer): string {
  const lines = der.toString("base64").match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}
