/** Identities of workloads as SPIFFE names them (Istio: pkg/spiffe): spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT. */

export interface SpiffeIdentity {
  readonly trustDomain: string;
  readonly namespace: string;
  readonly serviceAccount: string;
}

// Letters of the SPIFFE standard for trust domains; a namespace is a DNS label, an account a DNS subdomain.
const form = /^spiffe:\/\/([a-z0-9._-]{1,255})\/ns\/([a-z0-9-]{1,63})\/sa\/([a-z0-9.-]{1,253})$/;

/** The identity that a URI names; undefined for every other form, such as one of a workload outside Kubernetes. */
export function parseSpiffeIdentity(uri: string): SpiffeIdentity | undefined {
  const [, trustDomain, namespace, serviceAccount] = form.exec(uri) ?? [];
  if (trustDomain === undefined || namespace === undefined || serviceAccount === undefined) return undefined;
  if (!isNamespaceName(namespace) || !isServiceAccountName(serviceAccount)) return undefined;
  return { trustDomain, namespace, serviceAccount };
}

export function formatSpiffeIdentity({ trustDomain, namespace, serviceAccount }: SpiffeIdentity): string {
  return `spiffe://${trustDomain}/ns/${namespace}/sa/${serviceAccount}`;
}

/** A trust domain as it stands in identities: "@", which stands in those of some clouds, becomes "." (Istio: pkg/spiffe). */
export function formatTrustDomain(trustDomain: string): string {
  return trustDomain.replaceAll("@", ".");
}

/** True for what Kubernetes takes as the name of a namespace: a DNS label (RFC 1123). */
export function isNamespaceName(text: string): boolean {
  return /^[a-z0-9-]{1,63}$/.test(text) && hasSolidEnds(text);
}

/** True for what Kubernetes takes as the name of a service account: a DNS subdomain (RFC 1123). */
export function isServiceAccountName(text: string): boolean {
  return text.length <= 253 && text.split(".").every((label) => /^[a-z0-9-]+$/.test(label) && hasSolidEnds(label));
}

const hasSolidEnds = (text: string): boolean => !text.startsWith("-") && !text.endsWith("-");
