/**
 * What a certificate says of its owner. The alternative names are read from the certificate itself: the platform gives them
 * as one text, in which a comma or quote inside a name could pass for the beginning of another.
 */
import type { X509Certificate } from "node:crypto";
import type { CertificateInfo } from "../listeners/connection.ts";
import { type DerValue, formatOid, readDer } from "./der.ts";

export type SanKind = "EMAIL" | "DNS" | "URI" | "IP_ADDRESS" | "OTHER_NAME";

export interface SubjectAltName {
  readonly kind: SanKind;
  readonly value: string;
  /** Of an OTHER_NAME. */
  readonly oid?: string;
}

const alternativeNames = "2.5.29.17";
const constructed = 0x30;
const objectIdentifier = 0x06;
const octetString = 0x04;
/** The extensions of a TBSCertificate (RFC 5280 section 4.1). */
const extensionsTag = 0xa3;

/** All alternative names in order; none where there are none or where they cannot be read, so that nothing matches them. */
export function readSubjectAltNames(certificate: X509Certificate): readonly SubjectAltName[] {
  try {
    const body = findExtension(certificate.raw, alternativeNames);
    const list = body && readDer(body)[0];
    return list ? readDer(list.body).flatMap(readGeneralName) : [];
  } catch (cause: unknown) {
    if (cause instanceof RangeError) return [];
    throw cause;
  }
}

export function buildCertificateInfo(certificate: X509Certificate): CertificateInfo {
  const names = readSubjectAltNames(certificate);
  const listKind = (kind: SanKind) => names.filter((name) => name.kind === kind).map(({ value }) => value);
  return {
    subject: formatName(certificate.subject),
    issuer: formatName(certificate.issuer),
    serialNumber: certificate.serialNumber.toLowerCase(),
    sha256: certificate.fingerprint256.replaceAll(":", "").toLowerCase(),
    uriSans: listKind("URI"),
    dnsSans: listKind("DNS"),
    ipSans: listKind("IP_ADDRESS"),
    // biome-ignore lint/style/noRestrictedGlobals: reads a date, and does not ask what time it is
    validFromMs: Date.parse(certificate.validFrom),
    // biome-ignore lint/style/noRestrictedGlobals: as above
    validToMs: Date.parse(certificate.validTo),
    pem: certificate.toString(),
  };
}

/** The value of an extension, by its identifier. */
function findExtension(raw: Buffer, oid: string): Buffer | undefined {
  const certificate = readDer(raw)[0];
  const toBeSigned = certificate && readDer(certificate.body)[0];
  const extensions = toBeSigned && readDer(toBeSigned.body).find(({ tag }) => tag === extensionsTag);
  const list = extensions && readDer(extensions.body)[0];
  for (const { tag, body } of list ? readDer(list.body) : []) {
    if (tag !== constructed) continue;
    const parts = readDer(body);
    if (parts[0]?.tag !== objectIdentifier || formatOid(parts[0].body) !== oid) continue;
    return parts.find((part) => part.tag === octetString)?.body;
  }
  return undefined;
}

/** GeneralName (RFC 5280 section 4.2.1.6): the number in the tag says what it is. */
function readGeneralName({ tag, body }: DerValue): SubjectAltName[] {
  switch (tag) {
    case 0x81:
      return [{ kind: "EMAIL", value: body.toString("latin1") }];
    case 0x82:
      return [{ kind: "DNS", value: body.toString("latin1") }];
    case 0x86:
      return [{ kind: "URI", value: body.toString("latin1") }];
    case 0x87:
      return [{ kind: "IP_ADDRESS", value: formatIp(body) }];
    case 0xa0:
      return readOtherName(body);
    default:
      return [];
  }
}

function readOtherName(bytes: Buffer): SubjectAltName[] {
  const [oid, wrapped] = readDer(bytes);
  const value = wrapped && readDer(wrapped.body)[0];
  if (oid === undefined || value === undefined) return [];
  return [{ kind: "OTHER_NAME", value: value.body.toString("utf8"), oid: formatOid(oid.body) }];
}

function formatIp(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join(".");
  if (bytes.length !== 16) return "";
  const words = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(2 * index));
  return compressZeros(words);
}

/** RFC 5952: the longest run of zeros, of two words at least, is written "::". */
function compressZeros(words: readonly number[]): string {
  let best = { start: -1, length: 1 };
  for (let start = 0; start < 8; start++) {
    let length = 0;
    while (words[start + length] === 0) length++;
    if (length > best.length) best = { start, length };
  }
  const format = (part: readonly number[]) => part.map((word) => word.toString(16)).join(":");
  if (best.start < 0) return format(words);
  return `${format(words.slice(0, best.start))}::${format(words.slice(best.start + best.length))}`;
}

/** As in RFC 2253: the last part first, on one line. The platform gives a line for each part, with breaks escaped. */
function formatName(lines: string | undefined): string {
  return (lines ?? "").split("\n").reverse().join(",");
}
