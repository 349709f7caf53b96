/**
 * TLS under gRPC: which certificate the server shows, and what clients showed (Istio: bootstrap/server.go
 * initSecureDiscoveryService). Client certificates are asked for and not required; whether one counts is for the
 * authenticators to say.
 */
import { constants } from "node:crypto";
import type { TLSSocket } from "node:tls";
import { ServerCredentials, type ServerDuplexStream, type ServerUnaryCall } from "@grpc/grpc-js";
import type { PeerCertificate, PeerCredentials } from "../lib/caller.ts";
import { SecretText } from "../lib/secret-text.ts";
import type { TlsMaterial, TlsSource } from "./transport.ts";

// Only authenticated encryption with forward secrecy; with TLS 1.3 nothing else exists.
const cipherSuites = [
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES256-GCM-SHA384",
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "ECDHE-ECDSA-CHACHA20-POLY1305",
  "ECDHE-RSA-CHACHA20-POLY1305",
].join(":");

/** Credentials that follow their source: new connections get the certificates of now. */
export class TlsServerCredentials extends ServerCredentials {
  readonly #end: () => void;

  constructor(source: TlsSource) {
    super({ requestCert: true, rejectUnauthorized: false }, buildContext(source.current()));
    this.#end = source.onChange(() => this.updateSecureContextOptions(buildContext(source.current())));
  }

  stop(): void {
    this.#end();
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}

type SecureContext = NonNullable<Parameters<ServerCredentials["updateSecureContextOptions"]>[0]>;

function buildContext({ chain, privateKey, clientRoots, clientCrls = [] }: TlsMaterial): SecureContext {
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

const tls13Suites = "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256";

type Call = ServerDuplexStream<Uint8Array, Uint8Array> | ServerUnaryCall<Uint8Array, Uint8Array>;

/** What the client of a call over TLS brought to say who it is. */
export function readPeerCredentials(call: Call): PeerCredentials {
  return {
    peer: call.getPeer(),
    certificate: readCertificate(findSocket(call)),
    bearerTokens: listTexts(call, "authorization").flatMap((value) =>
      value.startsWith(bearerPrefix) ? [new SecretText(value.slice(bearerPrefix.length))] : [],
    ),
    clusterIds: listTexts(call, "clusterid"),
    forwardedCertificates: listTexts(call, "x-forwarded-client-cert"),
  };
}

const bearerPrefix = "Bearer ";

function listTexts(call: Call, name: string): readonly string[] {
  return call.metadata.get(name).filter((value) => typeof value === "string");
}

/**
 * The connection under a call. `getAuthContext` of grpc-js gives the client's certificate and not whether it was found
 * good, so this reaches for the private member `call` and its HTTP/2 stream; grpc-tls.test.ts fails where an upgrade
 * moves them.
 */
function findSocket(call: Call): TLSSocket | undefined {
  const { call: inner } = call as unknown as {
    readonly call?: { readonly stream?: { readonly session?: { readonly socket?: TLSSocket } } };
  };
  return inner?.stream?.session?.socket;
}

function readCertificate(socket: TLSSocket | undefined): PeerCertificate {
  // Without the connection nobody can say what was shown on it: as bad as a bad one.
  if (socket === undefined) return { kind: "unverified", reason: "the connection is gone" };
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return { kind: "none" };
  if (!socket.authorized) return { kind: "unverified", reason: String(socket.authorizationError) };
  return { kind: "verified", subjectAltName: certificate.subjectAltName ?? "" };
}
