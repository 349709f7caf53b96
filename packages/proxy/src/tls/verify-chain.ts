/**
 * Finds the way from a certificate to a trusted one by signatures. Beside the platform's own verification, not in its place:
 * for questions that it does not answer, such as which authority it was, or whether all is well but for the dates.
 */
import type { X509Certificate } from "node:crypto";

/** Longer chains are not looked through (BoringSSL's own limit is near this). */
const maxDepth = 32;

/** The certificates that stand between the peer's and the trusted one; undefined where no way leads there. */
export function findTrustedDepth(peer: X509Certificate, roots: readonly X509Certificate[]): number | undefined {
  const sent: X509Certificate[] = [];
  for (let next = peer.issuerCertificate; next && sent.length < maxDepth; next = next.issuerCertificate) {
    if (sent.some(({ fingerprint256 }) => fingerprint256 === next?.fingerprint256)) break;
    sent.push(next);
  }
  let current = peer;
  for (let depth = 0; depth <= maxDepth; depth++) {
    const here = current;
    // A trusted certificate ends the way whether it signed itself or not: intermediate authorities may be trusted alone.
    if (roots.some((root) => root.fingerprint256 === here.fingerprint256)) return depth;
    if (roots.some((root) => isIssuer(root, here))) return depth + 1;
    const next = sent.find(
      (candidate) => candidate.fingerprint256 !== here.fingerprint256 && isIssuer(candidate, here),
    );
    if (next === undefined) return undefined;
    sent.splice(sent.indexOf(next), 1);
    current = next;
  }
  return undefined;
}

function isIssuer(issuer: X509Certificate, certificate: X509Certificate): boolean {
  return issuer.ca && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}
