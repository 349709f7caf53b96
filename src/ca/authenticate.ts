import type { Authentication, Authenticator, PeerCredentials } from "../lib/caller.ts";

/**
 * Asks authenticators in their order (Istio: pkg/security/authentication.go): the first that authenticates decides. A
 * certificate that is not trusted refuses the whole connection, as a handshake that insists on trusted ones does.
 */
export async function authenticateBy(
  authenticators: readonly Authenticator[],
  credentials: PeerCredentials,
): Promise<Exclude<Authentication, { readonly kind: "absent" }>> {
  const reasons: string[] = [];
  for (const authenticator of authenticators) {
    const answer = await authenticator.authenticate(credentials);
    if (answer.kind === "authenticated") return answer;
    if (answer.kind === "refused") reasons.push(`${authenticator.name}: ${answer.reason}`);
    if (credentials.certificate.kind === "unverified") break;
  }
  return { kind: "refused", reason: reasons.length === 0 ? "no credentials were given" : reasons.join("; ") };
}
