/** x-forwarded-client-cert: what the certificate of the client says, for servers that do not see the connection. */
import type {
  HttpConnectionManager_ForwardClientCertDetails,
  HttpConnectionManager_SetCurrentClientCertDetails,
} from "@meltemi/protos/envoy/extensions/filters/network/http_connection_manager/v3";
import type { CertificateInfo, TlsInfo } from "../listeners/connection.ts";
import type { HeaderList } from "./header-list.ts";

export interface ClientCertificateOptions {
  readonly forward: HttpConnectionManager_ForwardClientCertDetails;
  readonly details: HttpConnectionManager_SetCurrentClientCertDetails;
}

const name = "x-forwarded-client-cert";

/** Takes the header out, lets it pass, adds to it or sets it: Envoy's forward_client_cert_details. */
export function applyClientCertificate(
  headers: HeaderList,
  tls: TlsInfo | undefined,
  { forward, details }: ClientCertificateOptions,
): void {
  if (forward === "ALWAYS_FORWARD_ONLY") return;
  if (forward === "SANITIZE" || tls?.peer === undefined) {
    headers.remove(name);
    return;
  }
  if (forward === "FORWARD_ONLY") return;
  const element = describe(tls.peer, tls.local, details);
  const before = forward === "APPEND_FORWARD" ? headers.joined(name) : undefined;
  headers.set(name, before === undefined || before === "" ? element : `${before},${element}`);
}

function describe(
  peer: CertificateInfo,
  local: CertificateInfo | undefined,
  details: HttpConnectionManager_SetCurrentClientCertDetails,
): string {
  const parts: string[] = [];
  for (const uri of local?.uriSans ?? []) parts.push(`By=${uri}`);
  if (peer.sha256 !== "") parts.push(`Hash=${peer.sha256}`);
  if (details.cert === true && peer.pem !== "") parts.push(`Cert="${encodePem(peer.pem)}"`);
  // Only the certificate of the client itself is known here; Envoy gives those above it as well where they were sent.
  if (details.chain === true && peer.pem !== "") parts.push(`Chain="${encodePem(peer.pem)}"`);
  // The key stands there even where the subject is empty, and so does that of the URI.
  if (details.subject?.value === true) parts.push(`Subject="${peer.subject.replaceAll('"', '\\"')}"`);
  if (details.uri === true) {
    if (peer.uriSans.length === 0) parts.push("URI=");
    for (const uri of peer.uriSans) parts.push(`URI=${uri}`);
  }
  if (details.dns === true) for (const dns of peer.dnsSans) parts.push(`DNS=${dns}`);
  return parts.join(";");
}

function encodePem(pem: string): string {
  return encodeURIComponent(pem);
}
