/** Who calls a server, as far as transports, authenticators and services tell each other. */
import type { SecretText } from "./secret-text.ts";
import type { SpiffeIdentity } from "./spiffe.ts";

/** What came with a connection over TLS. */
export interface PeerCredentials {
  readonly certificate: PeerCertificate;
  /** Tokens of "authorization: Bearer …" headers, in order. */
  readonly bearerTokens: readonly SecretText[];
  /** Values of the header "clusterid". */
  readonly clusterIds: readonly string[];
  /** Remote address with port; absent where it is not known. */
  readonly peer?: string;
  /** Values of the header "x-forwarded-client-cert", in which a gateway that ends TLS says what it was shown. */
  readonly forwardedCertificates?: readonly string[];
}

export type PeerCertificate =
  | { readonly kind: "none" }
  /** It does not lead to a root of ours, or does not hold now. */
  | { readonly kind: "unverified"; readonly reason: string }
  /** The names of the leaf as the platform prints them (X509Certificate.subjectAltName). */
  | { readonly kind: "verified"; readonly subjectAltName: string };

/** Somebody who has proven who they are. */
export interface Caller {
  readonly identity: SpiffeIdentity;
  readonly source: "certificate" | "token" | "forwarded certificate";
  /** The pod that a token is bound to. */
  readonly pod?: CallerPod;
}

export interface CallerPod {
  readonly name: string;
  readonly uid: string;
}

/** What an authenticator says of credentials; "absent": there is nothing in them that it reads. */
export type Authentication =
  | { readonly kind: "authenticated"; readonly caller: Caller }
  | { readonly kind: "refused"; readonly reason: string }
  | { readonly kind: "absent" };

/** Tells who calls. Never rejects; reasons hold no credential. */
export interface Authenticator {
  readonly name: string;
  authenticate(credentials: PeerCredentials): Promise<Authentication>;
}
