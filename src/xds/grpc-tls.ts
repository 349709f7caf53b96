/**
 * TLS under gRPC: which certificate the server shows, and what clients showed (Istio: bootstrap/server.go
 * initSecureDiscoveryService). Client certificates are asked for and not required; whether one counts is for the
 * authenticators to say.
 */
import { constants } from "node:crypto";
import type { Socket } from "node:net";
import { type SecureContextOptions, TLSSocket } from "node:tls";
import type { PeerCertificate, PeerCredentials } from "../lib/caller.ts";
import { SecretText } from "../lib/secret-text.ts";
import type { GrpcCall } from "./grpc-call.ts";
import type { TlsMaterial } from "./transport.ts";

// Only authenticated encryption with forward secrecy; with TLS 1.3 nothing else exists.
const cipherSuites = [
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES256-GCM-SHA384",
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "ECDHE-ECDSA-CHACHA20-POLY1305",
  "ECDHE-RSA-CHACHA20-POLY1305",
].join(":");

const tls13Suites = "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256";

/** What new connections are shown and judged by. */
export function buildContext({ chain, privateKey, clientRoots, clientCrls = [] }: TlsMaterial): SecureContextOptions {
  return {
    cert: chain,
    key: privateKey.reveal(),
    ca: clientRoots,
    ...(clientCrls.length === 0 ? {} : { crl: [...clientCrls] }),
    minVersion: "TLSv1.2",
    ciphers: [tls13Suites, cipherSuites].join(":"),
    // Every connection shows its certificate anew: a resumed one would bring along what was found good long ago.
    secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
  };
}

/** Certificates of clients are asked for; one that is missing or bad does not end the handshake. */
export const clientCertificates = { requestCert: true, rejectUnauthorized: false } as const;

/** What the client of a call over TLS brought to say who it is. */
export function readPeerCredentials(call: GrpcCall): PeerCredentials {
  return {
    peer: call.peer,
    certificate: readCertificate(call.socket),
    bearerTokens: call
      .headers("authorization")
      .flatMap((value) => (value.startsWith(bearerPrefix) ? [new SecretText(value.slice(bearerPrefix.length))] : [])),
    clusterIds: call.headers("clusterid"),
    forwardedCertificates: call.headers("x-forwarded-client-cert"),
  };
}

const bearerPrefix = "Bearer ";

function readCertificate(socket: Socket | undefined): PeerCertificate {
  // Without the connection nobody can say what was shown on it: as bad as a bad one.
  if (!(socket instanceof TLSSocket)) return { kind: "unverified", reason: "the connection is gone" };
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return { kind: "none" };
  if (!socket.authorized) return { kind: "unverified", reason: String(socket.authorizationError) };
  return { kind: "verified", subjectAltName: certificate.subjectAltName ?? "" };
}
