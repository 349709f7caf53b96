/** Whose certificates count: roots from several places, united. */
import type { X509Certificate } from "node:crypto";
import { formatCertificate, parseCertificates } from "../../../../src/lib/certificate.ts";

export interface TrustBundle {
  /** PEM, each root once, in an order that depends on them alone; "" where there is none. */
  readonly roots: string;
  /** Roots that were left out because they have expired. */
  readonly expired: number;
  /** Blocks that could not be read. */
  readonly unreadable: number;
}

const certificateBlock = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/**
 * Unites the certificates of texts in PEM. One that cannot be read does not spoil the others; expired ones are left out,
 * unless nothing else is there: a proxy without any root would refuse the whole secret.
 */
export function mergeRoots(texts: readonly string[], nowMs: number): TrustBundle {
  const roots = new Map<string, X509Certificate>();
  let unreadable = 0;
  for (const block of texts.flatMap((text) => text.match(certificateBlock) ?? [])) {
    const root = tryParse(block);
    if (root === undefined) unreadable += 1;
    else roots.set(formatCertificate(root), root);
  }
  const all = [...roots].sort(([a], [b]) => (a < b ? -1 : 1));
  const valid = all.filter(([, root]) => root.validToDate.getTime() > nowMs);
  const kept = valid.length > 0 ? valid : all;
  return { roots: kept.map(([pem]) => pem).join(""), expired: all.length - kept.length, unreadable };
}

function tryParse(block: string): X509Certificate | undefined {
  try {
    return parseCertificates(block, "a root")[0];
  } catch {
    return undefined;
  }
}
