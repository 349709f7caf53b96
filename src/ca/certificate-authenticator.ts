/** Client certificates as proof of identity (Istio: security/pkg/server/ca/authenticate/cert_authenticator.go). */
import type { Authenticator } from "../lib/caller.ts";
import { parseSpiffeIdentity, type SpiffeIdentity } from "../lib/spiffe.ts";

export interface CertificateAuthenticatorOptions {
  /** The trust domain of the mesh and its aliases, as they are now. */
  readonly trustDomains: () => readonly string[];
}

/**
 * Takes certificates that the transport has verified and that name exactly one URI: the SPIFFE identity, of one of our
 * trust domains.
 */
export function createCertificateAuthenticator({ trustDomains }: CertificateAuthenticatorOptions): Authenticator {
  return {
    name: "client certificate",
    async authenticate({ certificate }) {
      if (certificate.kind === "none") return { kind: "absent" };
      if (certificate.kind === "unverified") return refuse(`the certificate is not trusted: ${certificate.reason}`);
      const uris = listUris(certificate.subjectAltName);
      const [uri] = uris ?? [];
      if (uris === undefined || uri === undefined || uris.length > 1) {
        return refuse("the certificate must name exactly one URI");
      }
      const identity = readIdentity(uri, trustDomains());
      if (typeof identity === "string") return refuse(identity);
      return { kind: "authenticated", caller: { identity, source: "certificate" } };
    },
  };
}

/** The identity that the URI of a certificate names, of one of our trust domains; a text says why it is none. */
export function readIdentity(uri: string, trustDomains: readonly string[]): SpiffeIdentity | string {
  const identity = parseSpiffeIdentity(uri);
  if (identity === undefined) return "the URI of the certificate is no identity of a workload";
  if (!trustDomains.includes(identity.trustDomain)) {
    return `the certificate is of the trust domain ${identity.trustDomain}`;
  }
  return identity;
}

const refuse = (reason: string) => ({ kind: "refused", reason }) as const;

/**
 * The URIs among names as the platform prints them, "URI:…, DNS:…". It puts names in quotation marks that could be taken
 * for several, and no name of ours needs that: undefined where there are any.
 */
function listUris(subjectAltName: string): readonly string[] | undefined {
  if (subjectAltName.includes('"')) return undefined;
  return subjectAltName.split(", ").flatMap((name) => (name.startsWith("URI:") ? [name.slice("URI:".length)] : []));
}
