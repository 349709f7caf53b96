/** Roots that are trusted together, as one text in PEM: joined, searched, and freed of those that are over. */
import { X509Certificate } from "node:crypto";
import { CertificateError, formatCertificate, parseCertificates } from "../lib/certificate.ts";

/** What of an authority says whom its signatures lead to. All PEM. */
export interface TrustParts {
  readonly certificate: string;
  readonly chain: string;
  readonly roots: string;
}

/** The certificates of all texts, each once, in the order of their first appearance. Throws CertificateError. */
export function listRoots(...bundles: readonly string[]): readonly X509Certificate[] {
  const roots = bundles.flatMap((bundle) =>
    bundle.trim() === "" ? [] : parseCertificates(bundle, "the trust bundle"),
  );
  return [...new Map(roots.map((root) => [root.fingerprint256, root])).values()];
}

/** One text of all roots, each once. */
export function mergeRoots(...bundles: readonly string[]): string {
  return listRoots(...bundles)
    .map(formatCertificate)
    .join("");
}

/** True where the bundle holds one of these roots. */
export function holdsAnyRoot(bundle: string, roots: readonly X509Certificate[]): boolean {
  const held = new Set(listRoots(bundle).map(({ fingerprint256 }) => fingerprint256));
  return roots.some(({ fingerprint256 }) => held.has(fingerprint256));
}

/** A bundle without the roots that have expired at `nowMs`; those are told apart. */
export function dropExpiredRoots(
  roots: readonly X509Certificate[],
  nowMs: number,
): { readonly kept: readonly X509Certificate[]; readonly expired: readonly X509Certificate[] } {
  const hasExpired = (root: X509Certificate): boolean => root.validToDate.getTime() <= nowMs;
  return { kept: roots.filter((root) => !hasExpired(root)), expired: roots.filter(hasExpired) };
}

/** True where `issuer` has signed `subject`. */
export const isIssuer = (issuer: X509Certificate, subject: X509Certificate): boolean =>
  subject.checkIssued(issuer) && subject.verify(issuer.publicKey);

/** The roots of an authority's bundle that its signatures lead to: its own certificate, or who signed the end of its chain. */
export function findAnchors({ certificate, chain, roots }: TrustParts): readonly X509Certificate[] {
  const own = new X509Certificate(certificate);
  const top = listRoots(chain).at(-1) ?? own;
  return listRoots(roots).filter((root) => root.fingerprint256 === own.fingerprint256 || isIssuer(root, top));
}

const crlBlock = /-----BEGIN X509 CRL-----[^-]+-----END X509 CRL-----/g;

/** The revocation lists of a text in PEM, each with a line end. Throws CertificateError where there is none. */
export function listCrls(pem: string): readonly string[] {
  const found = (pem.match(crlBlock) ?? []).map((block) => `${block}\n`);
  if (found.length === 0) throw new CertificateError("the revocation list holds no CRL in PEM");
  return found;
}
