/** An authority as it stands in files or in a Secret: texts under Istio's names, or under those of kubernetes.io/tls. */
import { CertificateError } from "../lib/certificate.ts";
import { type Authority, parseAuthority } from "./authority.ts";

/** In istiod's order of looking (detectSigningCABundleAndCRL); the first text of kubernetes.io/tls holds the chain too. */
const namings = [
  { certificate: "tls.crt", privateKey: "tls.key", chain: "tls.crt", roots: "ca.crt" },
  { certificate: "ca-cert.pem", privateKey: "ca-key.pem", chain: "cert-chain.pem", roots: "root-cert.pem" },
] as const;

const crlName = "ca-crl.pem";

/** All names under which something of an authority may stand. */
export const authorityNames: readonly string[] = [
  ...new Set(namings.flatMap((naming) => Object.values(naming))),
  crlName,
];

/**
 * The authority that the texts hold; undefined where there is nothing of one. Throws CertificateError where it is
 * incomplete, with the names that are missing, or where the texts do not fit together, as while somebody writes them.
 */
export function readAuthorityTexts(texts: ReadonlyMap<string, string>, nowMs: number): Authority | undefined {
  const isThere = (name: string): boolean => (texts.get(name) ?? "").trim() !== "";
  const naming = namings.find((each) => Object.values(each).some(isThere));
  if (naming === undefined) return undefined;
  const missing = [naming.certificate, naming.privateKey, naming.roots].filter((name) => !isThere(name));
  if (missing.length > 0) throw new CertificateError(`it lacks ${missing.join(", ")}`);
  const text = (name: string): string => texts.get(name) ?? "";
  return parseAuthority(
    {
      certificate: text(naming.certificate),
      privateKey: text(naming.privateKey),
      chain: text(naming.chain),
      roots: text(naming.roots),
      crl: text(crlName),
    },
    nowMs,
  );
}
