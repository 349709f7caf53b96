/** How the agent reaches a control plane: for certificates and for configuration alike. */
import type { SecretText } from "../../../../src/lib/secret-text.ts";

/** A certificate by which the agent itself can prove who it is; PEM. */
export interface ClientCertificate {
  /** The certificate and what stands between it and the root, the certificate first. */
  readonly chain: string;
  readonly privateKey: SecretText;
}

/** What is a function is asked again for each connection: files change while the agent runs. */
export interface UpstreamOptions {
  /** "host:port" */
  readonly address: string;
  /** Name that the server's certificate must have: the host of the address, or ISTIOD_SAN. */
  readonly serverName: string;
  /** Without TLS (ControlPlaneAuthPolicy NONE); then neither token nor certificate is sent. False where not given. */
  readonly isPlaintext?: boolean;
  /** In PEM; "" where they cannot be had yet, which refuses the connection. */
  roots(): string;
  /** The service account's token; undefined where there is none. */
  token(): Promise<SecretText | undefined>;
  /** Undefined where a token is all there is. */
  clientCertificate(): ClientCertificate | undefined;
  /** Goes out as metadata "clusterid". */
  readonly clusterId: string;
  /** More metadata (XDS_HEADER_*, CA_HEADER_*). */
  readonly headers: Readonly<Record<string, string>>;
}
