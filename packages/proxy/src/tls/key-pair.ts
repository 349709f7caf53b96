/** A certificate with its key, as the platform takes it, and what it is chosen by. */
import { X509Certificate } from "node:crypto";
import type { SecureContextOptions } from "node:tls";
import type { TlsCertificate } from "@meltemi/protos/envoy/extensions/transport_sockets/tls/v3";
import { ConfigError, need, within } from "../lib/config-error.ts";
import { readSubjectAltNames } from "./certificate-info.ts";
import { readDataSource } from "./tls-secrets.ts";

export interface KeyPair {
  readonly options: Pick<SecureContextOptions, "cert" | "key" | "passphrase" | "pfx">;
  /** Names that a client may ask for it by: the alternative names, or the common name where there are none. */
  readonly names: readonly string[];
  /** "rsa", "ec" …; contexts hold one of each. */
  readonly keyType: string;
  /** Undefined for PKCS #12, which the platform opens itself. */
  readonly certificate: X509Certificate | undefined;
}

/** Throws ConfigError for what is no certificate or key. OCSP staples and timestamps change no answer, and are not sent. */
export function readKeyPair(wire: TlsCertificate): KeyPair {
  if (wire.private_key_provider) {
    const name = wire.private_key_provider.provider_name ?? "";
    throw new ConfigError("private_key_provider", `${name} is not implemented`);
  }
  const password = wire.password && { passphrase: readDataSource(wire.password).toString().trimEnd() };
  if (wire.pkcs12) {
    const pfx = readDataSource(wire.pkcs12);
    return { options: { pfx, ...password }, names: [], keyType: "pkcs12", certificate: undefined };
  }
  const cert = within("certificate_chain", () => readDataSource(need("", wire.certificate_chain)));
  const key = within("private_key", () => readDataSource(need("", wire.private_key)));
  const certificate = parseCertificate(cert);
  const keyType = certificate.publicKey.asymmetricKeyType ?? "";
  return { options: { cert, key, ...password }, names: listNames(certificate), keyType, certificate };
}

function parseCertificate(pem: Buffer): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (cause: unknown) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ConfigError("certificate_chain", `Failed to load certificate chain: ${reason}`);
  }
}

function listNames(certificate: X509Certificate): readonly string[] {
  const names = readSubjectAltNames(certificate).filter(({ kind }) => kind === "DNS");
  if (names.length > 0) return names.map(({ value }) => value.toLowerCase());
  const common = /^CN=(.+)$/m.exec(certificate.subject)?.[1];
  return common === undefined ? [] : [common.toLowerCase()];
}
