import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import type { DataSource } from "@meltemi/protos/envoy/config/core/v3";
import { type AdminPage, jsonAnswer } from "./admin-page.ts";

const dayMs = 86_400_000;

export const certsPage: AdminPage = {
  path: "/certs",
  description: "print certs on machine",
  answer({ secrets, clock }) {
    const certificates = secrets.list().flatMap(({ current }) => {
      const chain = readCertificates(current?.tls_certificate?.certificate_chain);
      const authorities = readCertificates(current?.validation_context?.trusted_ca);
      if (chain.length === 0 && authorities.length === 0) return [];
      const describe = (one: Found): unknown => describeCertificate(one, clock.now());
      return [{ ca_cert: authorities.map(describe), cert_chain: chain.slice(0, 1).map(describe) }];
    });
    return jsonAnswer({ certificates });
  },
};

interface Found {
  readonly path: string;
  readonly certificate: X509Certificate;
}

const pemPattern = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** What cannot be read is left out: this page only tells what is there. */
function readCertificates(source: DataSource | undefined): readonly Found[] {
  if (source === undefined) return [];
  try {
    const pem = readText(source).match(pemPattern) ?? [];
    return pem.map((text) => ({ path: source.filename ?? "<inline>", certificate: new X509Certificate(text) }));
  } catch {
    return [];
  }
}

function readText({ inline_string: text, inline_bytes: bytes, filename }: DataSource): string {
  if (text !== undefined) return text;
  if (bytes !== undefined) return Buffer.from(bytes).toString();
  return filename === undefined ? "" : readFileSync(filename, "utf8");
}

function describeCertificate({ path, certificate }: Found, now: number): unknown {
  const { validFromDate, validToDate, serialNumber, subjectAltName = "" } = certificate;
  const days = Math.max(0, Math.floor((validToDate.getTime() - now) / dayMs));
  return {
    path,
    serial_number: serialNumber.toLowerCase(),
    subject_alt_names: subjectAltName.split(", ").flatMap(toAltName),
    days_until_expiration: String(days),
    valid_from: toTimestamp(validFromDate),
    expiration_time: toTimestamp(validToDate),
  };
}

function toTimestamp(date: { toISOString(): string }): string {
  return date.toISOString().replace(".000Z", "Z");
}

const altNames: readonly (readonly [prefix: string, field: string])[] = [
  ["DNS:", "dns"],
  ["URI:", "uri"],
  ["IP Address:", "ip_address"],
];

function toAltName(text: string): readonly unknown[] {
  return altNames.flatMap(([prefix, field]) =>
    text.startsWith(prefix) ? [{ [field]: text.slice(prefix.length) }] : [],
  );
}
