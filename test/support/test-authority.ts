/** Certificates for tests, made at run time: an authority, and what it issues to servers, clients and workloads. */
import { webcrypto } from "node:crypto";
import { loadX509, type X509Library } from "../../src/ca/x509-library.ts";

export interface IssuedCertificate {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

export interface TestAuthority {
  readonly rootPem: string;
  /** A certificate for servers and clients alike; the first name is its common name. "spiffe://" makes a URI of a name. */
  issue(...names: readonly [string, ...string[]]): Promise<IssuedCertificate>;
}

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const dayMs = 86_400_000;

/** Makes an authority whose roots are valid from yesterday for a month. */
export async function createTestAuthority(name: string): Promise<TestAuthority> {
  const x509 = await loadX509();
  const keys = await createKeys();
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    ...validity(),
    name: `CN=${name}`,
    keys,
    signingAlgorithm: algorithm,
    extensions: [new x509.BasicConstraintsExtension(true, undefined, true)],
  });
  return {
    rootPem: root.toString("pem"),
    async issue(...names) {
      const own = await createKeys();
      const certificate = await x509.X509CertificateGenerator.create({
        ...validity(),
        subject: `CN=${names[0].replaceAll(/[^A-Za-z0-9.-]/g, "-")}`,
        issuer: root.subject,
        publicKey: own.publicKey,
        signingKey: keys.privateKey,
        signingAlgorithm: algorithm,
        extensions: [alternativeNames(x509, names)],
      });
      return { certificatePem: certificate.toString("pem"), privateKeyPem: await exportKey(x509, own.privateKey) };
    },
  };
}

function validity(): { readonly notBefore: Date; readonly notAfter: Date } {
  return { notBefore: new Date(Date.now() - dayMs), notAfter: new Date(Date.now() + 30 * dayMs) };
}

function createKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]) as Promise<webcrypto.CryptoKeyPair>;
}

function alternativeNames(
  x509: X509Library,
  names: readonly string[],
): InstanceType<X509Library["SubjectAlternativeNameExtension"]> {
  return new x509.SubjectAlternativeNameExtension(
    names.map((value) => ({ type: value.startsWith("spiffe://") ? "url" : "dns", value }) as const),
  );
}

async function exportKey(x509: X509Library, key: webcrypto.CryptoKey): Promise<string> {
  return x509.PemConverter.encode(await webcrypto.subtle.exportKey("pkcs8", key), "PRIVATE KEY");
}
