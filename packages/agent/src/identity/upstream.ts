/** How the agent reaches a control plane: for certificates and for configuration alike. */
import { createSecureContext } from "node:tls";
import { type ChannelCredentials, Client, credentials, Metadata } from "@grpc/grpc-js";
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

/** A connection of its own; whoever asked for it closes the client. */
export interface Upstream {
  readonly client: Client;
  readonly metadata: Metadata;
}

/** A connection that cannot even be tried. */
export class UpstreamError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "UpstreamError";
  }
}

/**
 * Prepares a connection with the roots, the token and the certificate of now; it is made with the first call. Rejects with
 * UpstreamError, which shows no secret.
 */
export async function connectUpstream(options: UpstreamOptions): Promise<Upstream> {
  const metadata = new Metadata();
  if (options.clusterId !== "") metadata.set("clusterid", options.clusterId);
  for (const [name, value] of Object.entries(options.headers)) metadata.set(name, value);
  // A token in plain text would be anybody's.
  const token = options.isPlaintext === true ? undefined : await options.token();
  if (token !== undefined) metadata.set("authorization", `Bearer ${readToken(token)}`);
  const client = new Client(options.address, buildCredentials(options), {
    // Certificates and roots of another time must not be found again in a connection that is shared.
    "grpc.use_local_subchannel_pool": 1,
    "grpc.ssl_target_name_override": options.serverName,
    "grpc.default_authority": options.serverName,
    "grpc.max_receive_message_length": -1,
    "grpc.max_send_message_length": -1,
    "grpc.enable_retries": 0,
    "grpc.service_config_disable_resolution": 1,
    // HTTP_PROXY of the application is not for the mesh.
    "grpc.enable_http_proxy": 0,
    // Finds out within 40 seconds that a control plane is gone without a word.
    "grpc.keepalive_time_ms": 30_000,
    "grpc.keepalive_timeout_ms": 10_000,
  });
  return { client, metadata };
}

/** gRPC would say what it takes no text for, and with it the token. */
function readToken(token: SecretText): string {
  const text = token.reveal();
  if (!/^[\x21-\x7e]+$/.test(text)) throw new UpstreamError("the token holds what no token has");
  return text;
}

function buildCredentials(options: UpstreamOptions): ChannelCredentials {
  if (options.isPlaintext === true) return credentials.createInsecure();
  const roots = options.roots();
  // Without roots of ours the platform would believe those of the system.
  if (roots.trim() === "") throw new UpstreamError("there is no root certificate yet to know the control plane by");
  const own = options.clientCertificate();
  try {
    const certificate = own === undefined ? {} : { cert: own.chain, key: own.privateKey.reveal() };
    return credentials.createFromSecureContext(
      createSecureContext({ ca: roots, minVersion: "TLSv1.2", ...certificate }),
    );
  } catch (cause) {
    throw new UpstreamError("the certificates for the control plane cannot be used", { cause });
  }
}

// Messages cross the border to gRPC encoded.
export const asBuffer = (bytes: Uint8Array): Buffer =>
  Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
export const asBytes = (bytes: Buffer): Buffer => bytes;
