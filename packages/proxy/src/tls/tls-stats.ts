/** Statistics of handshakes, below "listener.ADDRESS.ssl." and "cluster.NAME.ssl.". */
import type { TLSSocket } from "node:tls";
import type { Counter, Stats } from "../lib/stats.ts";
import { isOfTls, type TlsError } from "./tls-error.ts";

const names = [
  "connection_error",
  "handshake",
  "session_reused",
  "no_certificate",
  "fail_verify_no_cert",
  "fail_verify_error",
  "fail_verify_san",
  "fail_verify_cert_hash",
] as const;

export interface TlsStats {
  countHandshake(socket: TLSSocket, hasPeer: boolean): void;
  countFailure(error: TlsError): void;
}

export function createTlsStats(stats: Stats): TlsStats {
  const counters = Object.fromEntries(names.map((name) => [name, stats.counter(`ssl.${name}`)])) as Record<
    (typeof names)[number],
    Counter
  >;
  return {
    countHandshake(socket, hasPeer) {
      counters.handshake.inc();
      if (socket.isSessionReused()) counters.session_reused.inc();
      if (!hasPeer) counters.no_certificate.inc();
      stats.counter(`ssl.ciphers.${socket.getCipher().name}`).inc();
      stats.counter(`ssl.versions.${socket.getProtocol() ?? ""}`).inc();
    },
    countFailure(error) {
      if (isOfTls(error)) counters.connection_error.inc();
      if (error.failure) counters[error.failure].inc();
    },
  };
}
