/**
 * Which chains a port of a workload has, by what it speaks and how it takes mutual TLS (Istio: networking/core,
 * filterchain_options.go). Clients of the mesh offer Istio's own protocols in the TLS handshake, which tells their mutual
 * TLS from TLS of the application.
 */
import type { MtlsMode } from "../../model/mtls.ts";
import { plaintextHttpProtocols } from "./chain-plan.ts";
import type { ListenerKind } from "./listener-conflicts.ts";

export interface InboundMatch {
  readonly transportProtocol: "tls" | "raw_buffer";
  /** Protocols offered in the handshake, or found in plain text; empty for any. */
  readonly applicationProtocols: readonly string[];
  readonly traffic: "http" | "tcp";
  /** Whether the chain ends the TLS, or passes it on as it is. */
  readonly endsTls: boolean;
}

const meshHttpProtocols = ["istio-http/1.0", "istio-http/1.1", "istio-h2"];
const meshProtocols = ["istio", "istio-peer-exchange", ...meshHttpProtocols];
const meshTcpProtocols = ["istio-peer-exchange", "istio"];

type Matches = { readonly [kind in ListenerKind]: readonly InboundMatch[] };

const strict: Matches = {
  http: [mutualTls("http")],
  tcp: [mutualTls("tcp")],
  // What a client could not tell to be HTTP comes without Istio's names for it, and goes on as bytes.
  auto: [mutualTls("http", meshHttpProtocols), mutualTls("tcp")],
};

const plaintext: Matches = {
  http: [plain("http")],
  tcp: [plain("tcp")],
  auto: [plain("http", plaintextHttpProtocols), plain("tcp")],
};

const permissive: Matches = {
  http: [mutualTls("http", meshProtocols), plain("http")],
  // The second one is for TLS of the application itself.
  tcp: [mutualTls("tcp", meshProtocols), passedOnTls(), plain("tcp")],
  auto: [
    mutualTls("http", meshHttpProtocols),
    plain("http", plaintextHttpProtocols),
    mutualTls("tcp", meshTcpProtocols),
    plain("tcp"),
    passedOnTls(),
  ],
};

const byMode: { readonly [mode in MtlsMode]: Matches } = { STRICT: strict, PERMISSIVE: permissive, DISABLE: plaintext };

/** Chains of a port, in order. */
export function listInboundMatches(mode: MtlsMode, kind: ListenerKind): readonly InboundMatch[] {
  return byMode[mode][kind];
}

/** The one chain of a port whose TLS ends here with a certificate of the application's own (Sidecar.ingress[].tls). */
export function listOwnTlsMatches(kind: ListenerKind): readonly InboundMatch[] {
  return [mutualTls(kind === "http" ? "http" : "tcp")];
}

function mutualTls(traffic: "http" | "tcp", applicationProtocols: readonly string[] = []): InboundMatch {
  return { transportProtocol: "tls", applicationProtocols, traffic, endsTls: true };
}

function plain(traffic: "http" | "tcp", applicationProtocols: readonly string[] = []): InboundMatch {
  return { transportProtocol: "raw_buffer", applicationProtocols, traffic, endsTls: false };
}

function passedOnTls(): InboundMatch {
  return { transportProtocol: "tls", applicationProtocols: [], traffic: "tcp", endsTls: false };
}
