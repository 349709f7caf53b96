/** What a finished handshake tells the rest of the proxy. */
import type { X509Certificate } from "node:crypto";
import type { TLSSocket } from "node:tls";
import type { CertificateInfo, TlsInfo } from "../listeners/connection.ts";
import { buildCertificateInfo } from "./certificate-info.ts";
import { readDer } from "./der.ts";

export interface TlsInfoParts {
  readonly socket: TLSSocket;
  readonly sni: string;
  readonly peer: X509Certificate | undefined;
  readonly isPeerVerified: boolean;
  /** What this side has shown, where that is known; the socket is asked otherwise, which costs a tenth of a handshake. */
  readonly local?: CertificateInfo | undefined;
}

export function buildTlsInfo({ socket, sni, peer, isPeerVerified, local }: TlsInfoParts): TlsInfo {
  return {
    version: socket.getProtocol() ?? "",
    cipher: socket.getCipher().name,
    sni,
    alpn: typeof socket.alpnProtocol === "string" ? socket.alpnProtocol : "",
    sessionId: readSessionId(socket.getSession()),
    local: local ?? readLocal(socket),
    peer: peer && buildCertificateInfo(peer),
    isPeerVerified,
  };
}

function readLocal(socket: TLSSocket): CertificateInfo | undefined {
  const certificate = socket.getX509Certificate();
  return certificate && buildCertificateInfo(certificate);
}

/** The session's identifier: the fourth member of OpenSSL's form of it, in hexadecimal; "" where there is none. */
function readSessionId(session: Buffer | undefined): string {
  if (session === undefined) return "";
  try {
    const whole = readDer(session)[0];
    return (whole && readDer(whole.body)[3]?.body.toString("hex")) ?? "";
  } catch (cause: unknown) {
    if (cause instanceof RangeError) return "";
    throw cause;
  }
}
