/** Operators about the client and its TLS connection. */
import { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import type { LogEntry } from "../access-log/types.ts";
import { ConfigError } from "../lib/config-error.ts";
import { type Address, type CertificateInfo, formatAddress, type TlsInfo } from "../listeners/connection.ts";
import { compileTimeFormat, isoTimeFormat } from "./format-time.ts";
import { type CompileOperator, type OperatorTable, orAbsent, plain } from "./operator-table.ts";
import type { Operator } from "./types.ts";

const remote = ({ info }: LogEntry): Address => info.remoteAddress ?? info.connection.remoteAddress;
const directRemote = ({ info }: LogEntry): Address => info.connection.directRemoteAddress;
const local = ({ info }: LogEntry): Address => info.connection.localAddress;

function ofAddress(name: string, read: (entry: LogEntry) => Address): OperatorTable {
  return {
    [`DOWNSTREAM_${name}_ADDRESS`]: plain((entry) => formatAddress(read(entry))),
    [`DOWNSTREAM_${name}_ADDRESS_WITHOUT_PORT`]: plain((entry) => read(entry).ip),
    [`DOWNSTREAM_${name}_PORT`]: plain((entry) => {
      const { ip, port } = read(entry);
      // A Unix socket has none.
      return isIP(ip) === 0 ? undefined : port;
    }),
  };
}

function ofTls(read: (tls: TlsInfo) => string): CompileOperator {
  return plain(({ info: { connection } }) =>
    connection.tls === undefined ? undefined : orAbsent(read(connection.tls)),
  );
}

function ofCertificate(whose: "local" | "peer", read: (certificate: CertificateInfo) => string): CompileOperator {
  return plain(({ info: { connection } }) => {
    const certificate = connection.tls?.[whose];
    return certificate === undefined ? undefined : orAbsent(read(certificate));
  });
}

function compileValidity(read: (certificate: CertificateInfo) => number): CompileOperator {
  return (argument): Operator => {
    const format = compileTimeFormat(argument ?? isoTimeFormat);
    return ({ info: { connection } }) => {
      const peer = connection.tls?.peer;
      return peer === undefined ? undefined : format(read(peer));
    };
  };
}

/** SHA-1 of the certificate, as it is no part of what is known of every connection. */
function fingerprint1({ pem }: CertificateInfo): string {
  return new X509Certificate(pem).fingerprint.replaceAll(":", "").toLowerCase();
}

const serverNames: Readonly<Record<string, (entry: LogEntry) => string | undefined>> = {
  SNI_ONLY: ({ info }) => info.connection.sni,
  HOST_ONLY: hostOf,
  SNI_FIRST: (entry) => entry.info.connection.sni || hostOf(entry),
  HOST_FIRST: (entry) => hostOf(entry) || entry.info.connection.sni,
};

function hostOf({ request }: LogEntry): string | undefined {
  return request?.authority.replace(/:\d+$/, "");
}

function compileServerName(argument: string | undefined): Operator {
  const [mode = "SNI_ONLY"] = (argument ?? "SNI_ONLY").split(":");
  const read = serverNames[mode];
  if (read === undefined) throw new ConfigError("", `"${mode}" is none of ${Object.keys(serverNames).join(", ")}`);
  return (entry) => orAbsent(read(entry));
}

export const downstreamOperators: OperatorTable = {
  ...ofAddress("REMOTE", remote),
  ...ofAddress("DIRECT_REMOTE", directRemote),
  ...ofAddress("LOCAL", local),
  REQUESTED_SERVER_NAME: compileServerName,
  DOWNSTREAM_TLS_VERSION: ofTls(({ version }) => version),
  DOWNSTREAM_TLS_CIPHER: ofTls(({ cipher }) => cipher),
  DOWNSTREAM_TLS_SESSION_ID: ofTls(({ sessionId }) => sessionId),
  DOWNSTREAM_LOCAL_SUBJECT: ofCertificate("local", ({ subject }) => subject),
  DOWNSTREAM_LOCAL_URI_SAN: ofCertificate("local", ({ uriSans }) => uriSans.join(",")),
  DOWNSTREAM_LOCAL_DNS_SAN: ofCertificate("local", ({ dnsSans }) => dnsSans.join(",")),
  DOWNSTREAM_LOCAL_IP_SAN: ofCertificate("local", ({ ipSans }) => ipSans.join(",")),
  DOWNSTREAM_PEER_SUBJECT: ofCertificate("peer", ({ subject }) => subject),
  DOWNSTREAM_PEER_URI_SAN: ofCertificate("peer", ({ uriSans }) => uriSans.join(",")),
  DOWNSTREAM_PEER_DNS_SAN: ofCertificate("peer", ({ dnsSans }) => dnsSans.join(",")),
  DOWNSTREAM_PEER_IP_SAN: ofCertificate("peer", ({ ipSans }) => ipSans.join(",")),
  DOWNSTREAM_PEER_ISSUER: ofCertificate("peer", ({ issuer }) => issuer),
  DOWNSTREAM_PEER_SERIAL: ofCertificate("peer", ({ serialNumber }) => serialNumber),
  DOWNSTREAM_PEER_FINGERPRINT_256: ofCertificate("peer", ({ sha256 }) => sha256),
  DOWNSTREAM_PEER_FINGERPRINT_1: ofCertificate("peer", fingerprint1),
  DOWNSTREAM_PEER_CERT: ofCertificate("peer", ({ pem }) => encodeURIComponent(pem)),
  DOWNSTREAM_PEER_CERT_V_START: compileValidity(({ validFromMs }) => validFromMs),
  DOWNSTREAM_PEER_CERT_V_END: compileValidity(({ validToMs }) => validToMs),
};
